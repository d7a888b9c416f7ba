package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
)

// smallBench measures a network that takes no time.
func smallBench(what string, more ...string) []string {
	return append([]string{"bench", what, "--patch", "8", "--stages", "3", "--width", "2", "--seconds", "0.001", "--quiet"}, more...)
}

// benchJSON decodes what a bench prints with --json.
func benchJSON(t *testing.T, result any, args []string) {
	t.Helper()
	got := gounet(t, append(args, "--json")...)
	require.Equal(t, exitOK, got.code, got.err)
	require.NoError(t, json.Unmarshal([]byte(got.out), result))
}

func TestBenchOpsMeasuresEveryOp(t *testing.T) {
	var ops opsResult
	benchJSON(t, &ops, smallBench("ops", "--large=false", "--threads", "1"))
	assert.NotEmpty(t, ops.CPU)
	assert.NotEmpty(t, ops.ISA)
	seen := map[string]bool{}
	for _, r := range ops.Rows {
		seen[r.Op] = true
		assert.Positive(t, r.Best, r.Op)
		assert.LessOrEqual(t, r.Best, r.Median, r.Op)
		assert.Positive(t, r.GBps, r.Op)
		assert.Positive(t, ops.peak(r.Threads).GFLOPS)
		if r.Conv != nil {
			assert.Positive(t, r.PeakShare, r.Op)
		}
	}
	for _, op := range []string{
		"Conv3D", "Conv3DGradInput", "Conv3DGradWeight", "UpConv3D", "UpConv3DGradInput", "UpConv3DGradWeight",
		"NormAct", "NormActGrad", "Add", "SegSums", "SegGrad", "SegLoss", "GradNorm", "Step",
		"TileLoad", "TileBlend", "Labels", "Warp", "Blur", "LowRes", "Intensity",
	} {
		assert.True(t, seen[op], op)
	}
}

func TestBenchOpsIsFilteredAndStoresSixteenBits(t *testing.T) {
	for _, precision := range []string{"bf16", "f16"} {
		var ops opsResult
		benchJSON(t, &ops, smallBench("ops", "--large=false", "--precision", precision, "--threads", "1,2", "--filter", `^Conv3D 2\+2→2 |^Step `))
		require.Len(t, ops.Rows, 4)
		assert.Equal(t, precision, ops.Precision)
		conv := ops.Rows[slices.IndexFunc(ops.Rows, func(r opRow) bool { return r.Op == "Conv3D" })].Conv
		assert.Equal(t, []int{2, 2}, conv.Ci)
		assert.Equal(t, "forward", conv.Pass)
	}
	got := gounet(t, smallBench("ops", "--filter", "nothing")...)
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.err, "none of the")
}

func TestBenchOpsHasTheLayersOfTheBars(t *testing.T) {
	f := opsFlags{benchFlags: benchFlags{patch: []int{40, 56, 40}, batch: 2, stages: 4, channels: 1, classes: 3}, widths: []int{32, 8}, large: true}
	cases, err := f.cases()
	require.NoError(t, err)
	var titles []string
	for _, c := range cases {
		titles = append(titles, c.title())
	}
	for _, layer := range []string{
		"32→32 at 1×64×64×64", "64→64 at 1×32×32×32", "320→320 at 1×8×8×8",
		"32→32 at 2×40×56×40", "32+32→32 at 2×40×56×40", "32→64 at 2×40×56×40 stride 2×2×2", "64→64 at 2×20×28×20",
		"128→128 at 2×10×14×10", "256→256 at 2×5×7×5", "32→3 at 2×40×56×40 kernel 1×1×1",
		"8→8 at 2×40×56×40", "8+8→8 at 2×40×56×40", "8→16 at 2×40×56×40 stride 2×2×2", "16→16 at 2×20×28×20",
		"32→32 at 2×10×14×10", "64→64 at 2×5×7×5",
	} {
		for _, op := range []string{"Conv3D ", "Conv3DGradInput ", "Conv3DGradWeight "} {
			assert.Contains(t, titles, op+layer)
		}
	}
	assert.Contains(t, titles, "Conv3D 1→32 at 2×40×56×40")
	assert.Contains(t, titles, "Step 5603177", "the parameters of nnU-Net's network for the hippocampus")
}

func TestBenchTrainSaysWhereTheTimeGoes(t *testing.T) {
	var step stepResult
	benchJSON(t, &step, smallBench("train", "--steps", "4", "--threads", "1,2", "--nodes", "--augment"))
	require.Len(t, step.Rows, 2)
	for i, r := range step.Rows {
		assert.Equal(t, i+1, r.Threads)
		assert.Equal(t, 4, r.Runs)
		assert.Positive(t, r.GFLOP)
		assert.InEpsilon(t, 2/r.Best, r.ImagesPerSecond, 1e-9)
		assert.Positive(t, r.Regions["scratch"])
		sum := func(list []nodeTime) (seconds float64, count int) {
			for _, n := range list {
				seconds, count = seconds+n.Seconds, count+n.Count
			}
			return seconds, count
		}
		seconds, count := sum(r.Nodes)
		opSeconds, opCount := sum(r.Ops)
		assert.InEpsilon(t, seconds, opSeconds, 1e-9)
		assert.Equal(t, count, opCount)
	}
}

func TestBenchPredictCountsTiles(t *testing.T) {
	var scan scanResult
	benchJSON(t, &scan, smallBench("predict", "--volume", "12", "--tta", "--threads", "1"))
	require.Len(t, scan.Rows, 2)
	assert.Equal(t, wholeScan, scan.Rows[0].What)
	assert.Equal(t, 8*8, scan.Rows[0].Tiles, "two tiles an axis, eight mirrorings")
	tiles := scan.Rows[1]
	assert.Equal(t, onlyTiles, tiles.What)
	assert.Equal(t, scan.Rows[0].RowsEach, tiles.Tiles)
	assert.InEpsilon(t, scan.Rows[0].GFLOP/64, tiles.GFLOP/float64(tiles.Tiles), 1e-9)
	assert.NotEmpty(t, tiles.Ops)

	var alone scanResult
	benchJSON(t, &alone, smallBench("predict", "--tiles=false", "--threads", "1"))
	require.Len(t, alone.Rows, 1)
	assert.Equal(t, wholeScan, alone.Rows[0].What)
	assert.Equal(t, 1, alone.Rows[0].Threads)
}

func TestBenchPrintsTables(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
	}{
		{smallBench("ops", "--large=false", "--threads", "1", "--filter", "NormAct "), []string{"measured peak of", "NormAct  2×8×8×8×2  1 ", "memory"}},
		{smallBench("train", "--threads", "1", "--nodes"), []string{"s a step", "images/s", "% of the peak", "Conv3DGradWeight ", "encoder"}},
		{smallBench("predict", "--threads", "1"), []string{"tiles/s", "its program for tiles", "TileBlend"}},
	} {
		got := gounet(t, c.args...)
		require.Equal(t, exitOK, got.code, got.err)
		for _, want := range c.want {
			assert.Contains(t, got.out, want)
		}
	}
}

func TestBenchRejectsSizesThatDoNotFit(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"patch", []string{"bench", "train", "--patch", "12"}, "wanted multiples of [8 8 8] for 4 stages"},
		{"axes", []string{"bench", "train", "--patch", "8,8"}, "patch 8,8: wanted D,H,W"},
		{"threads", []string{"bench", "ops", "--threads", "-1"}, "threads -1"},
		{"width", []string{"bench", "ops", "--width", "0"}, "width 0"},
		{"filter", []string{"bench", "ops", "--filter", "("}, "filter"},
		{"volume", []string{"bench", "predict", "--volume", "1,2"}, "volume 1,2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := gounet(t, c.args...)
			assert.Equal(t, exitUsage, got.code)
			assert.Contains(t, got.err, c.want)
		})
	}
}

func TestBenchNetworkIsTheHippocampusPlan(t *testing.T) {
	f := benchFlags{patch: []int{40, 56, 40}, batch: 2, stages: 4, channels: 1, classes: 3}
	_, c, err := f.network(defaultWidth)
	require.NoError(t, err)
	work := t.TempDir()
	require.Equal(t, exitOK, gounet(t, "plan", hippocampus, "--work", work, "--quiet").code)
	file := filepath.Join(work, plan.FileName)
	p, err := plan.Load(file)
	require.NoError(t, err)
	want := p.Configuration("3d_fullres")
	assert.Equal(t, want.Network, c.Network)
	assert.Equal(t, want.Patch, c.Patch)
	assert.Equal(t, want.Batch, c.Batch)

	_, fromFile, err := (&benchFlags{plan: file, configuration: "3d_fullres"}).network(0)
	require.NoError(t, err)
	assert.Equal(t, c, fromFile)
}

// The 2-D plan by flags alone is nnU-Net's: nothing happens along its one slice.
func TestBenchMeasuresFlatNetworks(t *testing.T) {
	f := benchFlags{patch: []int{1, 192, 160}, batch: 64, stages: 6, channels: 4, classes: 4}
	p, c, err := f.network(defaultWidth)
	require.NoError(t, err)
	assert.Equal(t, 2, c.Dim)
	assert.Equal(t, plan.Config2D, c.Name)
	assert.Equal(t, plan.NNUNet(2), p.Recipe)
	assert.Equal(t, []int{32, 64, 128, 256, 512, 512}, c.Network.Features)
	assert.Equal(t, [3]int{1, 32, 32}, c.Network.Divisor())
	for _, k := range c.Network.Kernels {
		assert.Equal(t, [3]int{1, 3, 3}, k)
	}

	flat := func(what string, more ...string) []string {
		args := append([]string{"bench", what, "--patch", "1,16,8", "--stages", "3", "--width", "2"}, more...)
		return append(args, "--seconds", "0.001", "--threads", "1", "--quiet")
	}
	var step stepResult
	benchJSON(t, &step, flat("train", "--steps", "1", "--augment"))
	assert.Equal(t, [3]int{1, 16, 8}, step.Rows[0].Patch)
	var scan scanResult
	benchJSON(t, &scan, flat("predict", "--volume", "3,24,8", "--tta"))
	assert.Equal(t, 3*2*4, scan.Rows[0].Tiles, "each slice by itself, mirrored along H and W")
	var ops opsResult
	benchJSON(t, &ops, flat("ops", "--large=false", "--filter", "^(Conv3D|UpConv3D) "))
	for _, r := range ops.Rows {
		if r.Conv != nil {
			assert.Equal(t, 1, r.Conv.Kernel[0], r.Shapes)
		}
	}
}

func TestTypicalCtlLeavesNoRowEmpty(t *testing.T) {
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		logits := b.Declare("logits", graph.Data, graph.F32, 2, 2, 2, 2, 3)
		ctl := b.Declare(ctlName, graph.IO, graph.F32, graph.CtlRows+2*graph.RowLen)
		weights := b.Declare("weights", graph.Data, graph.F32, 2, 2, 2)
		acc := b.Declare("acc", graph.Data, graph.F32, 2, 2, 2, 3)
		b.Apply("blend", graph.TileBlend{Depth: 2, Ctl: graph.CtlRows}, logits, weights, ctl, acc, weights)
		return nil
	})
	require.NoError(t, err)
	ctl := typicalCtl(g, graph.CtlRows+2*graph.RowLen)
	assert.Equal(t, float32(1), ctl[graph.CtlRows+graph.RowWeight])
	assert.Equal(t, float32(1), ctl[graph.CtlRows+graph.RowLen+graph.RowWeight])
	assert.Zero(t, ctl[graph.CtlRows+graph.RowLoad])
}
