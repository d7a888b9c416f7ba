package report

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/train"
)

func TestScaleHoldsTheRangeInFewSteps(t *testing.T) {
	for _, lo := range []float64{-1234, -0.79, 0, 1e-4, 3} {
		for _, span := range []float64{0, 1e-4, 0.37, 0.6, 1, 17, 1e6} {
			from, to, step := scale(lo, lo+span)
			n := (to - from) / step
			assert.LessOrEqual(t, from, lo+1e-6*step)
			assert.GreaterOrEqual(t, to, lo+span-1e-6*step)
			assert.InDelta(t, math.Round(n), n, 1e-6, "whole steps")
			assert.LessOrEqual(t, n, 8.0, "%g + %g", lo, span) // six, and one more at each end
			assert.Greater(t, n, 0.5)
		}
	}
}

func TestCurvesStayInTheFrameAndSkipGaps(t *testing.T) {
	nan := train.Number(math.NaN())
	var epochs []train.Epoch
	for i, v := range []train.Number{0.9, 0.5, nan, 0.4, nan, -0.2, -0.3} {
		epochs = append(epochs, train.Epoch{Epoch: i, TrainLoss: v, ValLoss: nan})
	}
	c := lossChart(epochs)
	require.Len(t, c.Series, 1, "validation has no value")
	assert.Len(t, c.Series[0].Lines, 2)
	assert.Len(t, c.Series[0].Dots, 1)
	assert.Equal(t, "−0.300", c.Series[0].Last)
	assert.Equal(t, "Loss over 7 epochs: Training from 0.900 to −0.300", c.Summary)
	for _, y := range c.Y {
		assert.GreaterOrEqual(t, y.At, c.Top)
		assert.LessOrEqual(t, y.At, c.Bottom)
	}
	require.Len(t, c.Bands, 7)
	assert.Equal(t, "Epoch 2\nTraining 0.500", c.Bands[1].Text)
	assert.Equal(t, "7", c.X[len(c.X)-1].Text, "epochs count from 1")
}

func TestLongTrainingsHaveFewBandsAndTicks(t *testing.T) {
	epochs := make([]train.Epoch, 1000)
	for i := range epochs {
		epochs[i].Epoch = i
	}
	c := lossChart(epochs)
	assert.LessOrEqual(t, len(c.Bands), maxBands)
	assert.LessOrEqual(t, len(c.X), 7)
	for i := 1; i < len(c.Bands); i++ {
		before := c.Bands[i-1]
		assert.InDelta(t, before.X+before.Width, c.Bands[i].X, 0.11, "bands touch") // each end is rounded to 0.1
	}
}

func TestTimesSumToTheTotal(t *testing.T) {
	epochs := []train.Epoch{{Seconds: 60}, {Seconds: 40, Time: train.Timing{Step: 70, Validate: 20, Wait: 4, Load: 500}}}
	v := newTimeView(epochs)
	require.NotNil(t, v)
	assert.Equal(t, "1 min 40 s", v.Total)
	sum := 0.0
	for _, p := range v.Parts {
		sum += p.Percent
	}
	assert.InDelta(t, 100, sum, 0.2) // four shares, rounded to 0.1 each
	assert.Equal(t, "6.0 %", v.Parts[3].Share)
	assert.Nil(t, newTimeView([]train.Epoch{{}}), "a log without times has no section")
}

func TestNumbersForPeople(t *testing.T) {
	for _, c := range []struct {
		seconds float64
		want    string
	}{{0.44, "0.4 s"}, {9.96, "10 s"}, {59.6, "1 min 00 s"}, {185, "3 min 05 s"}, {3599.6, "1 h 00 min"}, {math.NaN(), none}} {
		assert.Equal(t, c.want, duration(c.seconds))
	}
	assert.Equal(t, []string{"1.41", "12.3", "123", none, "∞"}, []string{number(1.414), number(12.34), number(123.4), number(math.NaN()), number(math.Inf(1))})
	assert.Equal(t, []string{"+7.2 %", "−3.0 %", "0.0 %"}, []string{signed(7.19), signed(-3), signed(-0.01)})
	assert.Equal(t, "ab…", shorten("abcd", 3))
}
