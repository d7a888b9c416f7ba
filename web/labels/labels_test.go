package labels

import (
	"bytes"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func small() *Map {
	return &Map{Shape: [3]int{7, 6, 5}, Spacing: [3]float64{1, 1, 2}, Data: make([]byte, 7*6*5)}
}

func (m *Map) at(x, y, z int) byte { return m.Data[(z*m.Shape[1]+y)*m.Shape[0]+x] }

func TestABallHasTheVoxelsWithinItsRadius(t *testing.T) {
	m := small()
	m.Begin("ball", 1)
	m.Ball([3]int{3, 3, 2}, 4, -1)
	m.End()
	for z := range 5 {
		for y := range 6 {
			for x := range 7 {
				d := math.Hypot(math.Hypot(float64(x-3), float64(y-3)), 2*float64(z-2))
				assert.Equal(t, d <= 2, m.at(x, y, z) == 1, "%d %d %d", x, y, z)
			}
		}
	}
}

func TestAStrokeInASliceStaysThere(t *testing.T) {
	m := small()
	m.Begin("brush", 2)
	r := m.Line([3]int{0, 0, 1}, [3]int{6, 5, 1}, 3, 2)
	m.End()
	assert.GreaterOrEqual(t, r.Lo, 42)
	assert.LessOrEqual(t, r.Hi, 84)
	for i := range 6 {
		assert.Equal(t, byte(2), m.at(i, i*5/6, 1), "no gap")
	}
}

func TestTheSmallestBrushPaintsOneVoxel(t *testing.T) {
	m := small()
	m.Begin("brush", 1)
	m.Ball([3]int{2, 2, 2}, 0.2, -1)
	m.End()
	assert.Equal(t, 1, bytes.Count(m.Data, []byte{1}))
	assert.Equal(t, byte(1), m.at(2, 2, 2))
}

func TestLockedLabelsStay(t *testing.T) {
	m := small()
	m.Data[0] = 3
	m.Locked[3] = true
	m.Begin("brush", 1)
	m.Ball([3]int{0, 0, 0}, 4, -1)
	m.End()
	assert.Equal(t, byte(3), m.Data[0])
	assert.Equal(t, byte(1), m.Data[1])
}

func TestUndoAndRedoGoThroughTheSameMaps(t *testing.T) {
	m := small()
	states := [][]byte{bytes.Clone(m.Data)}
	for i, at := range [][3]int{{1, 1, 1}, {4, 3, 2}, {2, 2, 1}} {
		m.Begin("stroke", byte(i+1))
		m.Line(at, [3]int{5, 5, 4}, 3, -1)
		m.End()
		states = append(states, bytes.Clone(m.Data))
	}
	for i := 2; i >= 0; i-- {
		m.Undo()
		require.Equal(t, states[i], m.Data)
	}
	for i := 1; i <= 3; i++ {
		require.True(t, m.CanRedo())
		m.Redo()
		require.Equal(t, states[i], m.Data)
	}
	m.Undo()
	m.Begin("other", 9)
	m.Ball([3]int{0, 0, 0}, 1, -1)
	m.End()
	assert.False(t, m.CanRedo(), "a new stroke ends what could be done again")
}

func TestDeltasAreTheVoxelsThatChanged(t *testing.T) {
	m := small()
	m.Begin("a", 1)
	m.Ball([3]int{3, 3, 2}, 4, -1)
	m.End()
	whole := bytes.Count(m.Data, []byte{1})
	m.Begin("b", 2)
	m.Ball([3]int{3, 3, 2}, 2, -1)
	m.End()
	n := bytes.Count(m.Data, []byte{2})
	require.Positive(t, n)
	assert.Equal(t, whole, m.Changes()[0].Delta(1))
	assert.Equal(t, -n, m.Changes()[1].Delta(1))
	assert.Equal(t, n, m.Changes()[1].Delta(2))
}

func TestFillStopsAtOtherLabels(t *testing.T) {
	m := small()
	for y := range 6 {
		m.Data[2*42+y*7+3] = 5 // a wall in slice 2
	}
	m.Begin("fill", 1)
	m.Fill([3]int{0, 0, 2}, 2)
	m.End()
	for y := range 6 {
		for x := range 7 {
			want := byte(0)
			switch {
			case x < 3:
				want = 1
			case x == 3:
				want = 5
			}
			assert.Equal(t, want, m.at(x, y, 2))
		}
	}
	assert.Equal(t, 18, bytes.Count(m.Data, []byte{1}))
}

func TestValuesBoundStrokes(t *testing.T) {
	m := small()
	m.Values = make([]float32, len(m.Data))
	for i := range m.Values {
		m.Values[i] = float32(i % 10)
	}
	m.Low, m.High = 3, 5
	m.Begin("threshold", 1)
	m.Threshold([3]int{}, -1)
	m.End()
	for i, v := range m.Data {
		assert.Equal(t, i%10 >= 3 && i%10 <= 5, v == 1)
	}
}

func TestDiceIsTwiceTheOverlap(t *testing.T) {
	o := Compare([]byte{1, 1, 1, 0, 2}, []byte{1, 1, 0, 1, 0})
	assert.Equal(t, Overlap{3, 3, 2, 2. / 3}, o[1])
	assert.Equal(t, 0., o[2].Dice)
	assert.True(t, math.IsNaN(o[7].Dice))
	d := Differences([]byte{1, 1, 1, 0, 2}, []byte{1, 1, 0, 1, 0}, 1)
	assert.Equal(t, []byte{InAB, InAB, OnlyA, OnlyB, 0}, d)
}

func TestAnotherLabelIsNoBackground(t *testing.T) {
	d := Differences([]byte{1, 1, 0, 2, 2, 1}, []byte{2, 0, 1, 1, 2, 1}, 1)
	assert.Equal(t, []byte{OtherB, OnlyA, OnlyB, OtherA, 0, InAB}, d)
	assert.Equal(t, []int{3, 1}, Slices(d, [3]int{3, 1, 2}), "all that differ are counted")
}
