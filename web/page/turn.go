package page

// turn counts the runs, checks, jobs, loads or ways to a scan that were begun or ended:
// what an earlier one still says is not heard.
type turn int

// still tells later whether it is the same turn as now.
func (t *turn) still() func() bool {
	now := *t
	return func() bool { return *t == now }
}
