package plan

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Extra is a line that Render adds to the table, for example the memory that a
// training step needs.
type Extra struct {
	Name  string
	Value func(c *Configuration) string
}

// Render writes p for people: the data set, then a table with a column a
// configuration, then the recipe.
func (p *Plan) Render(w io.Writer, extra ...Extra) error {
	var b strings.Builder
	p.renderDataset(&b)
	b.WriteByte('\n')
	p.renderTable(&b, extra)
	b.WriteByte('\n')
	p.Recipe.render(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (p *Plan) renderDataset(b *strings.Builder) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	row := func(name, format string, a ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, a...)) }
	row("data set", "%s", p.Dataset)
	row("planner", "%s (%s)", p.Planner, p.Name)
	var list []string
	for i, c := range p.Channels {
		list = append(list, fmt.Sprintf("%d %s (%s)", i, c.Name, c.Normalization))
	}
	row("channels", "%s", strings.Join(list, ", "))
	list = nil
	for _, l := range p.Labels {
		list = append(list, fmt.Sprintf("%s %s", join(l.Values, "+"), l.Name))
	}
	if p.Ignore >= 0 {
		list = append(list, fmt.Sprintf("%d ignore", p.Ignore))
	}
	row("labels", "%s", strings.Join(list, ", "))
	if p.HasRegions() {
		row("regions", "painted as %s", join(p.RegionOrder, ", "))
	}
	row("scans (median)", "%s voxels of %s mm (D×H×W)", join(p.MedianShape[:], "×"), join(p.MedianSpacing[:], "×"))
	row("axes", "D H W are axes %s of the files' z y x", join(p.Transpose[:], ", "))
	for i, v := range p.Intensities {
		row("intensity "+strconv.Itoa(i), "mean %s, std %s, median %s, 0.5 %% %s, 99.5 %% %s, %s to %s",
			short(v.Mean), short(v.Std), short(v.Median), short(v.Percentile_00_5), short(v.Percentile_99_5), short(v.Min), short(v.Max))
	}
	_ = t.Flush() // a strings.Builder takes everything
}

// field is a row of the table.
type field struct {
	name  string
	value func(p *Plan, c *Configuration) string
}

func fields() []field {
	return []field{
		{"patch", func(_ *Plan, c *Configuration) string { return join(c.Patch[3-c.Dim:], "×") }},
		{"batch", func(_ *Plan, c *Configuration) string { return strconv.Itoa(c.Batch) }},
		{"spacing, mm", func(_ *Plan, c *Configuration) string { return join(c.Spacing[3-c.Dim:], "×") }},
		{"median scan", func(_ *Plan, c *Configuration) string { return join(c.MedianShape[3-c.Dim:], "×") }},
		{"normalization", func(_ *Plan, c *Configuration) string { return schemeList(c) }},
		{"dice over", func(_ *Plan, c *Configuration) string {
			if c.BatchDice {
				return "batch"
			}
			return "sample"
		}},
		{"cascade", func(_ *Plan, c *Configuration) string { return cascade(c) }},
		{"network", func(p *Plan, c *Configuration) string {
			return c.Network.Kind + c.Network.otherNorm(p.Recipe.SyncBatchNorm)
		}},
		{"features", func(_ *Plan, c *Configuration) string { return join(c.Network.Features, " ") }},
		{"convolutions", func(_ *Plan, c *Configuration) string {
			return depths(c.Network.Convs) + " down, " + depths(c.Network.DecoderConvs) + " up"
		}},
		{"kernels", func(_ *Plan, c *Configuration) string { return sizes(c.Network.Kernels, c.Dim) }},
		{"strides", func(_ *Plan, c *Configuration) string { return sizes(c.Network.Strides, c.Dim) }},
		{"bottleneck", func(_ *Plan, c *Configuration) string {
			s := c.Network.Sizes(c.Patch)
			return join(s[len(s)-1][3-c.Dim:], "×")
		}},
		{"parameters", func(p *Plan, c *Configuration) string {
			return grouped(c.Network.Parameters(p.InputChannels(c), p.Classes()))
		}},
		{"nnU-Net's cost", func(p *Plan, c *Configuration) string {
			labels := len(p.Labels)
			if p.Ignore >= 0 {
				labels++
			}
			return fmt.Sprintf("%.0fM a sample", c.Network.Cost(c.Patch, labels)/1e6)
		}},
	}
}

func (p *Plan) renderTable(b *strings.Builder, extra []Extra) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	row := func(name string, value func(c *Configuration) string) {
		fmt.Fprint(t, name)
		for i := range p.Configurations {
			fmt.Fprint(t, "\t", value(&p.Configurations[i]))
		}
		fmt.Fprintln(t)
	}
	row("", func(c *Configuration) string { return c.Name })
	for _, f := range fields() {
		row(f.name, func(c *Configuration) string { return f.value(p, c) })
	}
	for _, e := range extra {
		row(e.Name, e.Value)
	}
	_ = t.Flush() // a strings.Builder takes everything
}

func (r *Recipe) render(b *strings.Builder) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	row := func(name, format string, a ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, a...)) }
	row("recipe", "%s", r.Name)
	row("loss", "%s", r.Loss)
	o := r.Optimizer
	line := fmt.Sprintf("%s, rate %s, weight decay %s", o.Kind, short(o.LearningRate), short(o.WeightDecay))
	if o.Kind == SGD {
		line += ", momentum " + short(o.Momentum)
	}
	if o.ClipNorm > 0 {
		line += ", gradient norm at most " + short(o.ClipNorm)
	}
	row("optimizer", "%s", line)
	s := r.Schedule
	line = fmt.Sprintf("%s, %d epochs of %d steps", s.Kind, s.Epochs, s.Iterations)
	if s.Patience > 0 {
		line += fmt.Sprintf(", stops after %d epochs without a better one", s.Patience)
	}
	row("schedule", "%s", line)
	var ops []string
	for _, a := range r.Augmentation {
		ops = append(ops, fmt.Sprintf("%s %s", strings.ReplaceAll(a.Op, "_", " "), short(a.P)))
	}
	row("augmentation", "%s", strings.Join(ops, ", "))
	if r.Interpolation != "" {
		row("patches", "moved by %s interpolation", r.Interpolation)
	}
	row("foreground", "forced in %s %% of a batch", short(100*r.Oversample))
	row("inference", "step %s, %s weights", short(r.Inference.Step), r.Inference.Blend)
	_ = t.Flush() // a strings.Builder takes everything
}

func schemeList(c *Configuration) string {
	var list []string
	for i, s := range c.Normalization {
		if i < len(c.MaskNorm) && c.MaskNorm[i] {
			s += " in mask"
		}
		if len(list) == 0 || list[len(list)-1] != s {
			list = append(list, s)
		}
	}
	return strings.Join(list, ", ")
}

func cascade(c *Configuration) string {
	switch {
	case c.Previous != "":
		return "after " + c.Previous
	case c.Next != "":
		return "before " + c.Next
	}
	return "–"
}

// depths is a number for each stage, or one where all are equal.
func depths(v []int) string {
	if slices.Min(v) == slices.Max(v) {
		return short(float64(v[0]))
	}
	return join(v, " ")
}

func sizes(v [][3]int, dim int) string {
	var list []string
	for _, s := range v {
		list = append(list, join(s[3-dim:], ""))
	}
	return strings.Join(list, " ")
}

func join[T int | float64](v []T, sep string) string {
	list := make([]string, len(v))
	for i, x := range v {
		list[i] = short(float64(x))
	}
	return strings.Join(list, sep)
}

// short is v with at most 4 digits where that is not a whole number.
func short(v float64) string {
	if v == float64(int64(v)) {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// grouped is n with commas: 31,199,796.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// String is the loss in a line.
func (l Loss) String() string {
	voxel := l.Voxel
	switch {
	case l.Voxel == TopK:
		voxel += " of " + short(100*l.TopK) + " %"
	case len(l.ClassWeights) > 0:
		voxel += fmt.Sprintf(" weighing %v", l.ClassWeights)
	}
	if l.Smoothing > 0 {
		voxel += " of labels smoothed by " + short(l.Smoothing)
	}
	return fmt.Sprintf("%s × %s + %s × Dice", short(l.VoxelWeight), voxel, short(l.DiceWeight))
}

// otherNorm says which norm it is if it is not that of nnU-Net; shared ones are of all
// ranks.
func (n *Network) otherNorm(shared bool) string {
	switch {
	case n.Norm == BatchNorm && shared:
		return ", batch norm over all ranks"
	case n.Norm == BatchNorm:
		return ", batch norm"
	case n.Norm == GroupNorm:
		return fmt.Sprintf(", norm of %d groups", n.Groups)
	}
	return ""
}
