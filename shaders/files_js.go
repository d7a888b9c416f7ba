package shaders

import "embed"

// A browser has no CUDA.
//
//go:embed *.wgsl
var files embed.FS
