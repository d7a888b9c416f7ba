//go:build js

package webgpu

// lose takes the GPU away from a device, as a browser does that resets it.
func lose(d *device) { d.gpu.(*browser).device.Call("destroy") }
