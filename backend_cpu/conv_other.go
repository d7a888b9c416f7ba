//go:build !amd64

package cpu

// head is what processors do that have its kernels: none here, a conv does all of it.
type head struct{}

func newHead(convShape, *isa, *pool) (*head, need) { return nil, need{} }

func (*head) fits(_, _ tensor) bool { return false }

func (*head) spreads(_, _ tensor) bool { return false }

func (*head) forward(_, _, _, _ tensor) {}

func (*head) gradInput(_, _, _ tensor) {}

func (*head) gradWeight(_, _ tensor, _, _ []float32) {}

// foldRows says that no kernel does it.
func (*source) foldRows([]float32, int, int, int, int) int { return 0 }
