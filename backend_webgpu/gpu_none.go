//go:build !js && !cgo

package webgpu

import "errors"

// openGPU says that the native half needs C.
func openGPU(Options) (gpu, error) {
	return nil, errors.New("this program was built without cgo, which WebGPU needs outside of a browser: build it with CGO_ENABLED=1 and a C compiler")
}
