package shaders

import "embed"

//go:embed parts/*.wgsl
var parts embed.FS

// partsOf lists what kernels have in common beside the prelude, and stands behind
// them.
var partsOf = map[string][]string{
	"add":              {"elements"},
	"avg_pool":         {"elements"},
	"blank":            {"elements"},
	"blur":             {"elements"},
	"conv3d":           {"elements"},
	"conv3d_any":       {"block_row"},
	"conv3d_blocked":   {"fours", "conv3d_fours", "block_row"},
	"conv3d_staged":    {"fours", "conv3d_fours", "block_row"},
	"enlarge":          {"elements"},
	"intensity":        {"elements"},
	"local":            {"elements"},
	"low_res":          {"elements"},
	"mask":             {"elements"},
	"median":           {"elements"},
	"norm_apply":       {"elements"},
	"seg_grad":         {"elements"},
	"sharpen":          {"elements"},
	"tile_load":        {"elements"},
	"upconv3d":         {"elements"},
	"upconv3d_blocked": {"fours"},
	"warp":             {"elements"},
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
