package train

import (
	"cmp"
	"fmt"
	"sort"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
)

// fits is an error, with what would fit, where the programs need more memory than the
// device has free.
func (t *trainer) fits(step, val *compile.Program) error {
	l := t.Device.Limits()
	have := cmp.Or(l.FreeBytes, l.TotalBytes)
	need := memoryOf(step, val).Device()
	if have == 0 || need <= have {
		return nil
	}
	has := fmt.Sprintf("it has %d MiB", have>>20)
	if have < l.TotalBytes {
		has = fmt.Sprintf("%d of its %d MiB are free", have>>20, l.TotalBytes>>20)
	}
	return fmt.Errorf("%s: %w: training needs %d MiB on the device, %s: %s", t.Device.Name(), backend.ErrMemory, need>>20, has, t.advice(l, have))
}

// advice says what fits into so many bytes: the largest batch, else the other ways to
// train with less, else the largest patch.
func (t *trainer) advice(l backend.Limits, have int64) string {
	try := func(change func(*trainer)) bool {
		c := *t.config
		o := trainer{Options: t.Options, config: &c, recipe: t.recipe, local: t.local, first: t.first}
		change(&o)
		step, val, err := o.programs(l)
		return err == nil && memoryOf(step, val).Device() <= have
	}
	// Batches from large to small: the first that fits.
	most := t.local - 1
	if i := sort.Search(most, func(i int) bool { return try(func(o *trainer) { o.local = most - i }) }); i < most {
		return fmt.Sprintf("--batch %d fits", (most-i)*t.world())
	}
	one := func(o *trainer) { o.local = 1 }
	for _, w := range []struct {
		text   string
		there  bool
		change func(*trainer)
	}{
		{"--low-memory", !t.Rematerialise, func(o *trainer) { o.Rematerialise = true }},
		{"--precision bf16", t.Storage == graph.F32 && l.BF16, func(o *trainer) { o.Storage = graph.BF16 }},
		{"--precision bf16 --low-memory", t.Storage == graph.F32 && l.BF16, func(o *trainer) { o.Storage, o.Rematerialise = graph.BF16, true }},
	} {
		if w.there && try(func(o *trainer) { one(o); w.change(o) }) {
			return fmt.Sprintf("--batch %d with %s fits", t.world(), w.text)
		}
	}
	c := *t.config
	for shrink(&c) {
		if try(func(o *trainer) { one(o); o.config.Patch = c.Patch }) {
			return fmt.Sprintf("a patch of %d×%d×%d with --batch %d fits, as gounet plan --fit-memory --memory-gb %.1f makes one",
				c.Patch[0], c.Patch[1], c.Patch[2], t.world(), float64(have)/1e9)
		}
	}
	return "use a smaller --width, or another device"
}

// shrink makes the longest axis of the patch that can be shorter so by a step of the
// network, and says whether there is one.
func shrink(c *plan.Configuration) bool {
	d, axis := c.Network.Divisor(), -1
	for a, n := range c.Patch {
		if n-d[a] >= 2*d[a] && (axis < 0 || n > c.Patch[axis]) { // two voxels at the bottom, so that there is something to normalise
			axis = a
		}
	}
	if axis < 0 {
		return false
	}
	c.Patch[axis] -= d[axis]
	return true
}
