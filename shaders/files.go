//go:build !js

package shaders

import "embed"

//go:embed *.wgsl *.cu *.cuh
var files embed.FS
