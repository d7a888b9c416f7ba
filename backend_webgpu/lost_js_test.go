//go:build js

package webgpu

import "testing"

// ways are the calls that lose a device.
var ways = []string{"destroy"}

func losable(*testing.T) {}

// lose takes the GPU away from a device, as a browser does that resets it.
func lose(_ *testing.T, d *device, way string) (restore func()) {
	d.gpu.(*browser).device.Call(way)
	return func() {}
}
