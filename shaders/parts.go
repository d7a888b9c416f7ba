package shaders

import "embed"

//go:embed parts/*.wgsl
var parts embed.FS

// partsOf lists what kernels have in common beside the prelude, and stands behind
// them.
var partsOf = map[string][]string{
	"conv3d_any":       {"block_row"},
	"conv3d_blocked":   {"fours", "conv3d_fours", "block_row"},
	"conv3d_staged":    {"fours", "conv3d_fours", "block_row"},
	"upconv3d_blocked": {"fours"},
}

// withParts is the code of a kernel with its parts. The first says how words of two
// halves are read and written: as f16, of devices that have shader-f16, or as bits.
func withParts(name, code string, f16 bool) (string, error) {
	list := append([]string{"halves_packed"}, partsOf[name]...)
	if f16 {
		code, list[0] = "enable f16;\n"+code, "halves_f16"
	}
	for _, part := range list {
		more, err := parts.ReadFile("parts/" + part + ".wgsl")
		if err != nil {
			return "", err
		}
		code += "\n" + string(more)
	}
	return code, nil
}
