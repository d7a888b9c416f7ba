package webgpu

import "time"

// pace bounds the work of one submit by the time that submits before it have
// taken. A browser that draws its page on the same GPU stutters while a submit
// runs, and resets a GPU that does not answer for about two seconds.
type pace struct {
	budget time.Duration // that a submit may take
	work   float64       // that a submit may hold
	least  float64       // whatever it takes
}

const (
	budget = 250 * time.Millisecond
	// firstWork is what a GPU does in a tenth of a millisecond, and what a processor
	// does in less than a second.
	firstWork = 1e8
	leastWork = 1e6
)

func newPace() pace { return pace{budget, firstWork, leastWork} }

// took tells how long a submit has taken. Above the budget, work is halved; far
// below it, a submit that was full lets the next be twice as large.
func (p *pace) took(work float64, d time.Duration) {
	switch {
	case d > p.budget:
		p.work = max(min(work, p.work)/2, p.least)
	case d < p.budget/4 && work > p.work/2:
		p.work *= 2
	}
}

// cut takes from list, from a row of its first dispatch on, what fits one submit:
// dispatches, or, where the first does not fit, the first of the fewest slabs of equal
// size that do, but a row at least. A small slab at the end would leave the device
// idle. What is left begins with a row of its first, too.
func (p *pace) cut(list []dispatch, row int) (now, left []dispatch, next int, work float64) {
	for len(list) > 0 && len(now) < mostDispatches {
		d := list[0].slab(row, list[0].rows-row)
		if work+d.work > p.work {
			if len(now) > 0 {
				break
			}
			if n := max(1, int(p.work/d.work*float64(d.rows))); n < d.rows {
				n = ceil(d.rows, ceil(d.rows, n))
				d = d.slab(0, n)
				return []dispatch{d}, list, row + n, d.work
			}
		}
		now, work = append(now, d), work+d.work
		list, row = list[1:], 0
	}
	return now, list, row, work
}

// mostDispatches of one submit: between submits a run can be cancelled, and
// software adapters compile a kernel when it is first dispatched.
const mostDispatches = 64
