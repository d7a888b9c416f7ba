//go:build linux && amd64

package cuda

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/shaders"
)

// fault is a mistake in a kernel, and a conformance case that must notice it.
type fault struct {
	name, kernel string
	old, new     string // all of old becomes new
	cases        string // a pattern of -test.run, below TestConformance if it does not say
}

var faults = []fault{
	{"no barrier before a step", "conv3d_mma", "normalise_halo(now.chunk);\n        }\n        __syncthreads();", "normalise_halo(now.chunk);\n        }", "f16/^Conv3D$/wide_channels$"},
	{"a group of copies not waited for", "conv3d_mma", "copies_wait<STAGES - 2>", "copies_wait<STAGES - 1>", "f16/^Conv3D$/wide_channels$"},
	{"a barrier for some", "conv3d_mma", "copies_wait<0>();", "if (warp == 0) __syncthreads();", "f16/^Conv3D$/long_rows$"},
	{"a voxel beyond the row", "conv3d_mma", "h < H && v < W", "h < H && v <= W", "bf16/^Conv3D$/long_rows$"},
	{"taps of columns for rows", "conv3d_mma", "+ ah.first + s.h * byh) * KW + aw.first + s.w * by", "+ ah.first + s.w * byh) * KW + aw.first + s.h * by", "f16/^Conv3D$/first_layer$"},
	{"chunks of a matrix where they were not put", "conv3d_mma", "voxel[i] = swizzled<X_BYTES>(begin[i] + shift, lane / 16)", "voxel[i] = (begin[i] + shift) * X_BYTES + lane / 16 * 16", "f16/^Conv3D$/wide_channels$"},
	{"halves of b exchanged", "conv3d_mma", "f[0], f[1]", "f[1], f[0]", "f16/^Conv3D$/wide_channels$"},
	{"lanes that name other rows", "conv3d_mma", "i * 16 + (lane & 15);", "i * 16 + (lane & 7);", "f16/^Conv3D$/long_rows$"},
	{"voxels beyond the grid", "conv3d_mma", " && vw < aw.voxels;", ";", "f16/^Conv3D$/long_rows$"},
	{"voxels that are not there among the moments", "conv3d_mma", "sum += there[i] ?", "sum += true ?", "network/every_node$"},
	{"moments over a step at work", "conv3d_mma", "__syncthreads(); // the last step is done with memory", "", "TestMoments"},
	{"bias of a neighbour", "conv3d_mma", "? b[co + 1]", "? b[co]", "f16/^Conv3D$/long_rows$"},
	{"one halo for all chunks", "conv3d_mma", "chunk % ABUFS", "chunk * 0", "f16/^Conv3D$/two_inputs$"},
	{"weights of the first input for the second", "conv3d_mma", "(second ? C1 : 0)", "0", "f16/^Conv3D$/two_unequal_inputs$"},
	{"taps of an adjoint in the other order", "conv3d_mma", "aw.taps - 1 - now.w", "now.w", "f16/^Conv3DGradInput$/wide_channels$"},
	{"a class of an adjoint begins elsewhere", "conv3d_mma", "(rest + p) % s", "(rest + p + 1) % s", "f16/^Conv3DGradInput$/stride_2_of_odd_sizes$"},
	{"rows of weights of another gradient", "conv3d_mma", ": W0 + n0)", ": n0)", "f16/^Conv3DGradInput$/two_inputs$"},
	{"a norm behind the barrier", "conv3d_mma", "            normalise_halo(now.chunk);\n        }\n        __syncthreads();", "            __syncthreads();\n            normalise_halo(now.chunk);\n        } else {\n            __syncthreads();\n        }", "TestNormsInThePrologue/f16_.6_6_10._false_false"},
	{"a norm of what is beyond the grid", "conv3d_mma", "if (voxel_of(row, v)) {", "voxel_of(row, v);\n                {", "TestNormsInThePrologue/f16_.6_6_10._false_false"},
	{"the norm of another sample", "conv3d_mma", "(n * channels + c0 + c)", "(c0 + c)", "TestNormsInThePrologue/f16_.6_6_10._false_false"},
	{"half of a norm", "conv3d_mma", "table + half * 2 * PER", "table", "TestNormsInThePrologue/f16_.6_6_10._false_false"},
	{"a row that is made twice", "conv3d_grad_weight_mma", "(oh - 1) * SH + KH : 0", "(oh - 1) * SH + KH - 1 : 0", "TestNormsInThePrologue/f16_.6_6_10._false_false"},
	{"a norm of what is beyond the grid", "conv3d_grad_weight_mma", "if (there(r, v)) {", "{", "TestNormsInThePrologue/f16_.6_6_10._false_false"},
	{"a split over another", "conv3d_mma", "parts + (size_t)split *", "parts + (size_t)0 *", "TestConformanceOfSplits/warps/f16/^Conv3D$/two_inputs$"},
	{"chunks of another split", "conv3d_mma", "Step ahead = {first, 0", "Step ahead = {0, 0", "TestConformanceOfSplits/warps/f16/^Conv3D$/two_inputs$"},
	{"a split over another", "conv3d_wgmma", "parts + (size_t)blockIdx.z *", "parts + (size_t)0 *", "TestConformanceOfSplits/groups/f16/^Conv3D$/two_inputs$"},
	{"weights of another split", "conv3d_wgmma", "(blockIdx.y * chunks + first)", "(blockIdx.y * chunks)", "TestConformanceOfSplits/groups/f16/^Conv3D$/two_inputs$"},
	{"the second input too late", "conv3d_wgmma", "first + chunk >= chunks1", "chunk >= chunks1", "TestConformanceOfSplits/groups/f16/^Conv3D$/two_inputs$"},
	{"a split left out", "conv3d_fold", "s < SPLITS", "s + 1 < SPLITS", "TestConformanceOfSplits/warps/f16/^Conv3D$/two_inputs$"},
	{"a bias of each split", "conv3d_fold", "sum += parts[(size_t)s * COUNT + i];", "sum += parts[(size_t)s * COUNT + i] + (HAS_B ? b[i % CO] : 0.0f);", "TestConformanceOfSplits/warps/f16/^Conv3D$/two_inputs$"},
	{"no barrier before a step", "conv3d_wgmma", "matrices_fence();\n        __syncthreads();", "matrices_fence();", "TestConformanceOfGroups/f16/^Conv3D$/wide_channels$"},
	{"no fence behind copies", "conv3d_wgmma", "matrices_fence();", "", "TestConformanceOfGroups/f16/^Conv3D$/wide_channels$"},
	{"no fence before products", "conv3d_wgmma", "group_fence();", "", "TestConformanceOfGroups/f16/^Conv3D$/wide_channels$"},
	{"a group of copies not waited for", "conv3d_wgmma", "copies_wait<STAGES - 3>", "copies_wait<STAGES - 2>", "TestConformanceOfGroups/f16/^Conv3D$/wide_channels$"},
	{"weights over those at work", "conv3d_wgmma", "group_wait<1>", "group_wait<3>", "TestConformanceOfGroups/f16/^Conv3D$/wide_channels$"},
	{"products not waited for", "conv3d_wgmma", "    group_wait<0>(sums);\n", "", "TestConformanceOfGroups/f16/^Conv3D$/wide_channels$"},
	{"strides of a exchanged", "conv3d_wgmma", "APART * 16, HW * 16)", "HW * 16, APART * 16)", "TestConformanceOfGroups/f16/^Conv3D$/wide_channels$"},
	{"strides of b exchanged", "conv3d_wgmma", "BN * 16, 128)", "128, BN * 16)", "TestConformanceOfGroups/f16/^Conv3D$/wide_channels$"},
	{"rows of taps for planes", "conv3d_wgmma", "(tap / KH * HH + tap % KH)", "(tap / KH + tap % KH * HH)", "TestConformanceOfGroups/f16/^Conv3D$/wide_channels$"},
	{"a voxel beyond the row", "conv3d_wgmma", "return d < D && h < H && w < W;", "return d < D && h < H && w <= W;", "TestConformanceOfGroups/f16/^Conv3D$/long_rows$"},
	{"one halo for all chunks", "conv3d_wgmma", "chunk % ABUFS", "chunk * 0", "TestConformanceOfGroups/f16/^Conv3D$/two_inputs$"},
	{"moments over products at work", "conv3d_wgmma", "__syncthreads(); // the last step is done with memory", "", "TestMoments"},
	{"voxels of another slice", "conv3d_wgmma", "qh + oh[i / 2]", "qh", "TestMoments"},
	{"taps of an adjoint in the other order", "weight_cells", "TAPS - 1 - k", "k", "TestConformanceOfGroups/f16/^Conv3DGradInput$/wide_channels$"},
	{"rows of weights of another gradient", "weight_cells", "WROWS + W0 + co", "WROWS + co", "TestConformanceOfGroups/f16/^Conv3DGradInput$/two_inputs$"},
	{"weights of the first input for the second", "weight_cells", "(second ? C1 : 0) + own", "own", "TestConformanceOfGroups/f16/^Conv3D$/two_inputs$"},
	{"no barrier before a tile", "conv3d_grad_weight_wgmma", "matrices_fence();\n        group_wait<0>(sums);\n        __syncthreads();", "matrices_fence();\n        group_wait<0>(sums);", "TestConformanceOfGroups/f16/^Conv3DGradWeight$/long_rows$"},
	{"no fence behind copies", "conv3d_grad_weight_wgmma", "matrices_fence();", "", "TestConformanceOfGroups/f16/^Conv3DGradWeight$/long_rows$"},
	{"a tile over the one at work", "conv3d_grad_weight_wgmma", "        group_wait<0>(sums);\n        __syncthreads();", "        __syncthreads();", "TestConformanceOfGroups/f16/^Conv3DGradWeight$/long_rows$"},
	{"strides of x exchanged", "conv3d_grad_weight_wgmma", "HW * 16, APART * 16)", "APART * 16, HW * 16)", "TestConformanceOfGroups/f16/^Conv3DGradWeight$/long_rows$"},
	{"rows of dy that do not follow", "conv3d_grad_weight_wgmma", "TW * 16, BESIDE * 16)", "16, BESIDE * 16)", "TestConformanceOfGroups/f16/^Conv3DGradWeight$/long_rows$"},
	{"a voxel beyond the row", "conv3d_grad_weight_wgmma", "return d < D && h < H && w < W;", "return d < D && h < H && w <= W;", "TestConformanceOfGroups/f16/^Conv3DGradWeight$/long_rows$"},
	{"taps of columns for rows", "conv3d_grad_weight_wgmma", "(d * HH + h + kh) * HW + w + kw", "(d * HH + h + kw) * HW + w + kh", "TestConformanceOfGroups/f16/^Conv3DGradWeight$/long_rows$"},
	{"tiles counted twice", "conv3d_grad_weight_wgmma", "u += SPLITS", "u++", "TestConformanceOfGroups/f16/^Conv3DGradWeight$/long_rows$"},
	{"a norm of what is beyond the grid", "conv3d_grad_weight_wgmma", "if (voxel_of(u, cell, n, v)) {", "voxel_of(u, cell, n, v);\n                {", "TestNormsInThePrologue/f16_.1_10_20._false_true"},
	{"the norm of another sample", "conv3d_grad_weight_wgmma", "(u / (GW * GH * GD) * CA + ca)", "(ca)", "TestNormsInThePrologue/f16_.1_10_20._false_true"},
	{"no barrier before a step", "conv3d_grad_weight_mma", "normalise_step(oh);\n            }\n            __syncthreads();", "normalise_step(oh);\n            }", "f16/^Conv3DGradWeight$/long_rows$"},
	{"no barrier before a column", "conv3d_grad_weight_mma", "__syncthreads(); // the last column is done with", "", "f16/^Conv3DGradWeight$/long_rows$"},
	{"a ring that is too short", "conv3d_grad_weight_mma", "% RING", "% (RING - 2)", "f16/^Conv3DGradWeight$/stride_2_of_odd_sizes$"},
	{"a matrix that is not transposed", "conv3d_grad_weight_mma", "load_transposed(r, rows + swizzled<BYTES>(first + ((lane", "load_matrices(r, rows + swizzled<BYTES>(first + ((lane", "f16/^Conv3DGradWeight$/long_rows$"},
	{"columns counted twice", "conv3d_grad_weight_mma", "u += SPLITS", "u++", "f16/^Conv3DGradWeight$/2-D$"},
	{"a plane of another sample", "conv3d_grad_weight_mma", "d < D && h < H", "h < H", "f16/^Conv3DGradWeight$/two_inputs$"},
	{"not turned", "conv3d_grad_weight_mma", "TURNED ? b : a", "a", "f16/^UpConv3DGradWeight$/2-D$"},

	{"one element too many", "add", "i >= COUNT", "i > COUNT", "TestSimpleKernels/f32/^AddAct$"},
	{"the padding of the wrong axis", "conv3d", "k % KW - (KW - 1) / 2", "k % KW - (KH - 1) / 2", "TestSimpleKernels/f32/^Conv3D$/kernel_5×3×1_stride_2×1×3$"},
	{"the first channel left out", "conv3d_grad_input", "unsigned co = 0", "unsigned co = 1", "TestSimpleKernels/f32/^Conv3DGradInput$/2-D$"},
	{"rows of another split", "conv3d_grad_weight", "row += SPLITS", "row++", "TestSimpleKernels/f32/^Conv3DGradWeight$/2-D$"},
	{"rows for columns", "turn", "w[(i / (ROWS * COLS) * ROWS + i % ROWS) * COLS + i / ROWS % COLS]", "w[i]", "f32/^Conv3D$/wide_channels$"},
	{"halves exchanged", "conv3d_grad_weight_mma", "lane % 4 + i / 2 * 4) * apart, c", "lane % 4 + i % 2 * 4) * apart, c", "f32/^Conv3DGradWeight$/long_rows$"},
	{"the smaller part forgotten", "conv3d_mma", "multiply_eleven(d, low, high0, high1);", "", "f32/^Conv3D$/wide_channels_normal$"},
	{"the second input's columns", "conv3d_mma", "n0 : (second ? C1 : 0) + c0)", "n0 : c0)", "f32/^Conv3D$/two_inputs$"},
	{"a part left out", "fold", "s < last", "s + 1 < last", "f32/^Conv3DGradWeight$/2-D$"},
	{"the stride of the wrong axis", "upconv3d", "oh % SH", "oh % SW", "TestSimpleKernels/f32/^UpConv3D$/stride_1×3×2$"},
	{"the second sum before the first is whole", "moments_fold", "highs[own] = high;\n    __syncthreads();", "highs[own] = high;", "f32/^NormAct$/many_voxels$"},
	{"a mean that is not made yet", "moments_fold", "whole = all;\n    }\n    __syncthreads();", "whole = all;\n    }", "f32/^NormAct$/many_voxels$"},
	{"squares that are not made yet", "moments_fold", "squares[own] = square;\n    __syncthreads();", "squares[own] = square;", "f32/^NormAct$/many_voxels$"},
	{"a sum of a sample over that of the last", "norm_grad_fold", "all_product += product;\n        }\n        __syncthreads();", "all_product += product;\n        }", "f32/^NormActGrad$/two_samples_of_33_channels$"},
	{"the row of another device", "moments_row", "i / C == RANK", "i / C == 0", "f32/^Moments$/a_batch$"},
	{"variances within devices only", "merged", " + (m[0] - mean) * (m[0] - mean)", "", "f32/^Merged$/a_batch$"},
	{"squares of values", "moments", "[(size_t)v * C]) - mean;", "[(size_t)v * C]);", "TestSimpleKernels/f32/^NormAct$/3-D$"},
	{"channels of another vector", "norm_apply_blocked", "gamma[c0 + c]", "gamma[c]", "f16/^NormApply$/32_channels$"},
	{"a voxel of the next sample", "norm_grad_blocked", "first + j < V", "true", "bf16/^NormActGrad$/2-D$"},
	{"squares of values", "moments_blocked", "(e[c] - mean[c]) * (e[c] - mean[c])", "e[c] * e[c]", "f16/^NormAct$/mean_above_deviation$"},
	{"a tree without barriers", "grad_norm_parts", "            faults[lane] += faults[lane + n];\n        }\n        __syncthreads();", "            faults[lane] += faults[lane + n];\n        }", "f32/^GradNorm$/no_clipping$"},
	{"a step that is not finite", "step", " || ctl[4] == 0.0f", "", "f32/^Step$/sgd_nesterov_true_decay_3e-05_step_0$"},
	{"the change of the gradient left out", "adan", "d + BETA2 * e", "d", "f32/^Step$/adan_nesterov_false_decay_0.02_step_2$"},
	{"a step that is not finite", "adan", " || ctl[4] == 0.0f", "", "f32/^Step$/adan_nesterov_false_decay_0.02_step_0$"},
	{"labels that do not count", "seg_sums", "label == IGNORE", "false", "f32/^SegSums$/softmax_ignore$"},
	{"a derivative of labels that do not count", "seg_grad", "label == IGNORE", "false", "f32/^SegGrad$/softmax_ignore$"},
	{"the last of equals", "labels", "e > best", "e >= best", "f32/^Labels$/same_grid$"},
	{"an axis that is not mirrored", "tile_blend", "bits & 2u ? H - 1 - h : h", "h", "f32/^TileBlend$/eight_mirrors$"},
	{"rows of another length", "cut", "((size_t)d * vh + h) * vw", "((size_t)d * vh + h) * W", "f32/^Cut$"},
	{"a case that begins elsewhere", "cut", "row[1] << 16", "row[1] << 8", "f32/^Cut$"},
	{"a corner behind the volume", "tile_load", "w < VW", "w <= VW", "f32/^TileLoad$/eight_mirrors$"},
	{"a border that is not repeated", "median", "-1 - i", "-i", "f32/^Median$"},
	{"a window to the other side", "median", "- (int)(sw / 2)", "- (int)((sw - 1) / 2)", "f32/^Median$/even"},
	{"boxes over what was there", "blank_values", "v = means[j];", "", "f32/^Blank$"},
	{"a mean that is not made yet", "blank_values", "values[channel * BOXES + b] = means[b];\n        }\n        __syncthreads();", "values[channel * BOXES + b] = means[b];\n        }", "f32/^Blank$"},
	{"the first of boxes", "blank", "unsigned b = BOXES; b > 0; b--", "unsigned b = 1; b <= BOXES; b++", "f32/^Blank$"},
	{"factors of the wrong axis", "local", "f[D + H + i / C % W]", "f[D + i / C % W]", "f32/^Local$"},
	{"a voxel of the next row", "sharpen", "o + 1 == size ? i : i + stride", "i + stride", "f32/^Sharpen$"},
	{"the border twice", "blur", "i < 0 ? -i", "i < 0 ? -i - 1", "f32/^Blur$"},
	{"the other share", "warp", "j & 1u ? p.fw", "j & 1u ? p.fh", "f32/^Warp$"},
}

// plant makes the fault of GOUNET_FAULT, in a process that is to notice it.
func plant(m *machine) {
	i, err := strconv.Atoi(os.Getenv("GOUNET_FAULT"))
	if err != nil {
		return
	}
	m.change = func(kernel, source string) string {
		if kernel == faults[i].kernel {
			return strings.ReplaceAll(source, faults[i].old, faults[i].new)
		}
		return source
	}
}

// Missing barriers, wrong taps, accesses out of bounds: conformance on the CPU
// notices each.
func TestFaultsOfKernelsAreNoticed(t *testing.T) {
	t.Parallel()
	if os.Getenv("GOUNET_FAULT") != "" {
		t.Skip("this process has a fault itself")
	}
	openEmulated(t, hopper)
	for i, f := range faults {
		t.Run(f.kernel+"/"+f.name, func(t *testing.T) {
			t.Parallel()
			source, err := shaders.CUDA(f.kernel, "")
			require.NoError(t, err)
			require.True(t, strings.Contains(source, f.old), "the fault is not planted") //nolint:testifylint // Contains prints the kernel
			cases := f.cases
			if !strings.HasPrefix(cases, "Test") {
				cases = "TestConformance/" + cases
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+cases, "-test.failfast") // one case is enough
			cmd.Env = append(os.Environ(), "GOUNET_LONG=1", "GOUNET_FAULT="+strconv.Itoa(i))
			out, err := cmd.CombinedOutput()
			assert.Error(t, err, "nobody noticed")
			assert.Contains(t, string(out), "--- FAIL: Test", "not by a case")
			assert.NotContains(t, string(out), "g++", "the fault does not compile")
		})
	}
}
