package volume

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// parallel calls f(i) for every i in [0, n), on as many goroutines as the
// program may use. Each goroutine makes its own scratch with newScratch, once.
//
// Units of work are whole and write to places of their own, so that a result
// does not depend on who did what: the bits are the same for any GOMAXPROCS.
func parallel[S any](n int, newScratch func() S, f func(i int, s S)) {
	workers := min(runtime.GOMAXPROCS(0), n)
	if workers <= 1 {
		if n > 0 {
			s := newScratch()
			for i := range n {
				f(i, s)
			}
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			s := newScratch()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i, s)
			}
		})
	}
	wg.Wait()
}

// none is the scratch of work that needs none.
func none() struct{} { return struct{}{} }
