package webgpu

import "time"

// pace bounds the work of one submit by the time that submits before it have
// taken. A browser that draws its page on the same GPU stutters while a submit
// runs, and resets a GPU that does not answer for about two seconds.
type pace struct {
	budget time.Duration // that a submit may take
	work   float64       // that a submit may hold
}

const (
	budget = 250 * time.Millisecond
	// firstWork is what a GPU does in a millisecond, and what a processor does in
	// less than a second.
	firstWork = 1e9
	leastWork = 1e6
)

func newPace() pace { return pace{budget, firstWork} }

// took tells how long a submit has taken. Above the budget, work is halved; far
// below it, a submit that was full lets the next be twice as large.
func (p *pace) took(work float64, d time.Duration) {
	switch {
	case d > p.budget:
		p.work = max(min(work, p.work)/2, leastWork)
	case d < p.budget/4 && work > p.work/2:
		p.work *= 2
	}
}

// next is how many of the dispatches fit one submit: at least one.
func (p *pace) next(list []dispatch) (n int, work float64) {
	for _, d := range list {
		if n > 0 && (work+d.work > p.work || n == mostDispatches) {
			break
		}
		n, work = n+1, work+d.work
	}
	return n, work
}

// mostDispatches of one submit: between submits a run can be cancelled, and
// software adapters compile a kernel when it is first dispatched.
const mostDispatches = 64
