package predict

import (
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/volume"
)

// unbounded is a device to plan for, of which nothing but its limits is asked.
type unbounded struct{ backend.Device }

// Limits are none.
func (unbounded) Limits() backend.Limits { return backend.Limits{} }

// Needs says what Plan does of a scan like those that the model was made for: of their
// median shape and spacing, without mirroring, on a device that has enough of all. No
// device is needed for it, nor are weights.
func Needs(m *checkpoint.Model) (Memory, error) {
	c, err := m.Config()
	if err != nil {
		return Memory{}, err
	}
	p := &Predictor{Model: m, o: Options{Device: unbounded{}}, plan: m.Plan, config: c, inference: m.Plan.Recipe.For(c).Inference}
	p.mirrors, p.preprocess = mirrorsOf([3]bool{}), dataset.PreprocessOptions(m.Plan, c)
	var g volume.Grid
	for a, x := range p.preprocess.Axes {
		g.Shape[x], g.Spacing[x] = m.Plan.MedianShape[a], m.Plan.MedianSpacing[a]
	}
	return p.Plan(g)
}
