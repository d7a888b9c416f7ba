package train

import (
	"math"

	"github.com/gounet/gounet/core/plan"
)

// Rate is the learning rate of an epoch, counted from 0:
//
//	poly      rate·(1 − epoch/Epochs)^Power
//	cosine    MinRate + (rate − MinRate)·(1 + cos(π·(epoch mod Period)/Period))/2
//	constant  rate
//
// In the first Warmup epochs it is rate·(epoch + 1)/Warmup; the rest is the schedule
// of the epochs that are left.
func Rate(r plan.Recipe, epoch int) float64 {
	rate, s := r.Optimizer.LearningRate, r.Schedule
	if epoch < s.Warmup {
		return rate / float64(s.Warmup) * float64(epoch+1)
	}
	epoch -= s.Warmup
	s.Epochs -= s.Warmup
	switch s.Kind {
	case plan.Poly:
		return rate * math.Pow(max(0, 1-float64(epoch)/float64(s.Epochs)), s.Power)
	case plan.Cosine:
		period := s.Period
		if period == 0 {
			period = s.Epochs
		}
		x := float64(epoch%period) / float64(period)
		return s.MinRate + (rate-s.MinRate)*(1+math.Cos(math.Pi*x))/2
	}
	return rate
}
