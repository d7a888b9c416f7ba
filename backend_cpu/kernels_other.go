//go:build !amd64

package cpu

// isas are the kernels that this processor can run, the fastest first.
func isas() []*isa { return []*isa{&plainGo} }
