//go:build !amd64

package cpu

// flatOf is the kernels beside those of s.
func flatOf(*isa) *flat { return &plainFlat }
