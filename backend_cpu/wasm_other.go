//go:build !js

package cpu

import "github.com/gounet/gounet/core/backend"

// wasmISAs are the instruction sets of kernels that are made in a browser.
func wasmISAs() []string { return nil }

// openWasm is nil: outside of a browser there are better ones.
func openWasm(Options) backend.Device { return nil }
