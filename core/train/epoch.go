package train

import (
	"encoding/json"
	"math"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
)

// Number is a float64 whose NaN is null in JSON.
type Number float64

// MarshalJSON writes null for what is not finite.
func (n Number) MarshalJSON() ([]byte, error) {
	if f := float64(n); math.IsNaN(f) || math.IsInf(f, 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON reads null as NaN.
func (n *Number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*n = Number(math.NaN())
		return nil
	}
	return json.Unmarshal(b, (*float64)(n))
}

// Epoch is a line of log.jsonl.
type Epoch struct {
	Epoch           int      `json:"epoch"` // from 0
	Rate            float64  `json:"learning_rate"`
	TrainLoss       Number   `json:"train_loss"` // mean over the iterations
	ValLoss         Number   `json:"val_loss"`
	Dice            []Number `json:"pseudo_dice"` // of each foreground label or region, over all validation patches
	MeanDice        Number   `json:"mean_pseudo_dice"`
	EMA             Number   `json:"ema"` // 0.9·before + 0.1·MeanDice
	Seconds         float64  `json:"seconds"`
	ImagesPerSecond float64  `json:"images_per_second"`
	LossScale       float64  `json:"loss_scale"`
	Skipped         int      `json:"skipped_steps"` // so far, because gradients were not finite
	Time            Timing   `json:"time"`          // so far
}

// emaKeep is what an epoch keeps of the moving average of the Dice before it:
// nnU-Net's 0.9.
const emaKeep = 0.9

// measure fills in the Dice of sums [K 5] over all validation patches, and the
// moving average over the epochs before.
func (e *Epoch) measure(sums []float64, p *plan.Plan, before []Epoch) {
	first := len(sums)/graph.SumsLen - len(p.Foreground()) // without background
	total, n := 0.0, 0
	for k := first; k < len(sums)/graph.SumsLen; k++ {
		s := sums[k*graph.SumsLen:]
		d := 2 * s[graph.SumPT] / (s[graph.SumP] + s[graph.SumT]) // NaN where neither has the class
		e.Dice = append(e.Dice, Number(d))
		if !math.IsNaN(d) {
			total += d
			n++
		}
	}
	mean := total / float64(n)
	e.MeanDice, e.EMA = Number(mean), Number(mean)
	if len(before) > 0 {
		if last := before[len(before)-1].EMA; !math.IsNaN(float64(last)) {
			e.EMA = emaKeep*last + (1-emaKeep)*Number(mean)
		}
	}
}

// scalars are the numbers of an epoch that are plotted over time.
func (e *Epoch) scalars(foreground []plan.Label) []scalar {
	s := []scalar{
		{"loss/train", float64(e.TrainLoss)},
		{"loss/val", float64(e.ValLoss)},
		{"dice/mean", float64(e.MeanDice)},
		{"dice/ema", float64(e.EMA)},
		{"learning_rate", e.Rate},
		{"images_per_second", e.ImagesPerSecond},
	}
	for i, d := range e.Dice {
		s = append(s, scalar{"dice/" + foreground[i].Name, float64(d)})
	}
	return s
}
