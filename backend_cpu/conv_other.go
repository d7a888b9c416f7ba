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

// foldRow and foldPairs say that no kernel did it.
func (*source) foldRow([]float32, int, int, int, int, int) bool { return false }

func (*source) foldPairs([]float32, int, int, int, int, int, int) bool { return false }
