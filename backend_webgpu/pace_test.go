package webgpu

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// clockwork is a GPU that does nothing but take time: work / speed. It runs in the
// false time of synctest.
type clockwork struct {
	gpu
	speed   float64 // work a second
	free    time.Time
	took    []time.Duration // by its submits
	pending int             // submits that nobody has waited for
	most    int
	onWait  func()
}

type ticking struct {
	*clockwork
	done time.Time
}

func (c *clockwork) submit(list []dispatch) (submitted, error) {
	var work float64
	for _, d := range list {
		work += d.work
	}
	if c.free.Before(time.Now()) {
		c.free = time.Now()
	}
	d := time.Duration(work / c.speed * float64(time.Second))
	c.free = c.free.Add(d)
	c.took = append(c.took, d)
	c.pending++
	c.most = max(c.most, c.pending)
	return ticking{c, c.free}, nil
}

func (t ticking) wait(ctx context.Context) error {
	if t.onWait != nil {
		t.onWait()
	}
	select {
	case <-time.After(time.Until(t.done)):
		t.pending--
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run starts n dispatches of so much work, in as many rows as there can be, on a
// device.
func (c *clockwork) run(ctx context.Context, d *device, n int, work float64) error {
	e := &executable{dev: d, nodes: []string{"node"}}
	for range n {
		e.list = append(e.list, dispatch{work: work, rows: mostRows})
	}
	return e.Run(ctx)
}

// late counts the submits that took longer than the budget.
func (c *clockwork) late() (n int) {
	for _, took := range c.took {
		if took > budget {
			n++
		}
	}
	return n
}

// The first submits may be late where a device is slower than expected: each halves
// the work, and one is under way when the one before it is found to be late.
func TestSubmitsKeepTheBudget(t *testing.T) {
	for name, speed := range map[string]float64{"a slow processor": 1e8, "a processor": 1e10, "a GPU": 1e13} {
		for _, each := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 30 * time.Second} {
			t.Run(name+" "+each.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := &clockwork{speed: speed}
					d := &device{gpu: c, pace: newPace()}
					n := int(max(3, 40*time.Second/each))
					require.NoError(t, c.run(t.Context(), d, n, speed*each.Seconds()))
					first := min(firstWork/speed, (mostDispatches * each).Seconds())
					halvings := max(0, math.Ceil(math.Log2(first/budget.Seconds())))
					assert.LessOrEqual(t, float64(c.late()), 2*halvings)
					assert.LessOrEqual(t, c.most, mostFlights)
				})
			})
		}
	}
}

// A device that slows down, as a laptop does that gets hot, is late a few times.
func TestASlowSubmitHalvesTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clockwork{speed: 1e12}
		d := &device{gpu: c, pace: newPace()}
		require.NoError(t, c.run(t.Context(), d, 10000, 1e10)) // 10 ms each
		fast := d.pace.work
		assert.Greater(t, fast, float64(firstWork), "a fast device is given more")
		c.took, c.speed = nil, 1e11 // 100 ms each
		require.NoError(t, c.run(t.Context(), d, 200, 1e10))
		assert.LessOrEqual(t, float64(c.late()), 2*math.Ceil(math.Log2(10)))
		assert.LessOrEqual(t, c.took[len(c.took)-1], budget)
		assert.Less(t, d.pace.work, fast)
	})
}

// Whatever the budget, submits make all rows of all dispatches in order, each once.
func TestSubmitsMakeEveryRowOnce(t *testing.T) {
	list := []dispatch{{node: 0, work: 1e9, rows: 1000}, {node: 1, work: 1, rows: 1}, {node: 2, work: 3e5, rows: 3}, {node: 3, work: 1, rows: 2}}
	for _, work := range []float64{1, 1e5, 2.5e6, 1e8, 1e15} {
		p := pace{work: work}
		node, row, total := 0, 0, 0.0
		for rest, next := list, 0; len(rest) > 0; {
			var now []dispatch
			var held float64
			now, rest, next, held = p.cut(rest, next)
			require.NotEmpty(t, now)
			for _, d := range now {
				require.Equal(t, node, d.node)
				require.Equal(t, row, d.first)
				require.Positive(t, d.rows)
				if row += d.rows; row == list[node].rows {
					node, row = node+1, 0
				}
			}
			total += held
			if len(now) > 1 || now[0].rows > 1 {
				require.LessOrEqual(t, held, work)
			}
		}
		assert.Equal(t, len(list), node)
		assert.InEpsilon(t, 1e9+3e5+2, total, 1e-12)
	}
}

func TestSlabsHaveEqualSize(t *testing.T) {
	p := pace{work: 7}
	now, rest, next, _ := p.cut([]dispatch{{work: 8, rows: 8}}, 0)
	assert.Equal(t, 4, now[0].rows)
	now, rest, _, _ = p.cut(rest, next)
	assert.Equal(t, 4, now[0].rows)
	assert.Empty(t, rest)
}

func TestARunIsCancelledBetweenSubmits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := &clockwork{speed: 1e10}
		waits := 0
		c.onWait = func() {
			if waits++; waits == 10 {
				cancel()
			}
		}
		d := &device{gpu: c, pace: newPace()}
		err := c.run(ctx, d, 5000, 1e9)
		require.ErrorIs(t, err, context.Canceled)
		assert.Less(t, len(c.took), 14)
		require.NoError(t, d.land(t.Context(), 0), "what was under way ends")
		require.NoError(t, c.run(t.Context(), d, 10, 1e9), "and the device is as good as before")
	})
}
