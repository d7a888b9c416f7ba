package predict

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// again writes a state and reads it.
func again(t *testing.T, st *State) *State {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, st.Write(&b))
	require.LessOrEqual(t, int64(b.Len()), st.Bytes())
	got, err := ReadState(bytes.NewReader(b.Bytes()), int64(b.Len()), "state")
	require.NoError(t, err)
	require.Equal(t, st, got)
	return got
}

// After every run the segmentation is paused and goes on elsewhere: in another
// predictor, whose sums are those of nothing.
func TestAnInterruptedSegmentationHasTheBitsOfTheWhole(t *testing.T) {
	for _, c := range []struct {
		name  string
		model tiny
		slabs bool
	}{
		{"whole volume", tiny{dim: 3, spacing: mm}, false},
		{"slabs, three folds", tiny{dim: 3, spacing: mm, folds: 3}, true},
		{"resampled", tiny{dim: 3, spacing: [3]float64{1.3, 0.9, 1}}, true},
		{"2-D", tiny{dim: 2, spacing: [3]float64{0, 1.2, 1}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := c.model.model()
			im := noise([3]int{40, 9, 14}, mm, 1, 0)
			o := Options{NoMirror: true, Rows: 2, Device: openCPU(t)}
			p := newTest(t, m, o)
			if c.slabs {
				o.MemoryBytes = fewPlanes(t, p, im)
				p = newTest(t, m, o)
			}
			want, err := p.Image(t.Context(), im, ImageOptions{})
			require.NoError(t, err)
			require.Equal(t, c.slabs, want.Memory.Planes < want.Memory.Depth)

			always := make(chan struct{})
			close(always)
			var st *State
			runs := 0
			for done := -1; ; runs++ {
				var saved *State
				r, err := newTest(t, m, o).Image(t.Context(), im, ImageOptions{
					Model: "m", Resume: st, Pause: always, Save: func(s *State) { saved = s },
				})
				if err == nil {
					assert.Equal(t, want.Labels.Data, r.Labels.Data)
					break
				}
				require.ErrorIs(t, err, ErrPaused)
				require.Greater(t, saved.Done, done, "it gets on")
				done = saved.Done
				st = again(t, saved)
				m, err := p.Plan(im.Grid)
				require.NoError(t, err)
				require.LessOrEqual(t, m.State, st.Bytes())
				require.GreaterOrEqual(t, m.State+1<<12, st.Bytes())
			}
			assert.Equal(t, want.Memory.Runs-1, runs)
		})
	}
}

func TestAStateOfSomethingElseIsRefused(t *testing.T) {
	m := tiny{dim: 3, spacing: mm}.model()
	im := noise([3]int{30, 9, 14}, mm, 1, 0)
	p := newTest(t, m, Options{NoMirror: true, Rows: 2})
	always := make(chan struct{})
	close(always)
	var st *State
	_, err := p.Image(t.Context(), im, ImageOptions{Model: "m", Pause: always, Save: func(s *State) { st = s }})
	require.ErrorIs(t, err, ErrPaused)

	refused := func(what string, p *Predictor, o ImageOptions) {
		_, err := p.Image(t.Context(), im, o)
		assert.ErrorContains(t, err, "the state is that of another", what)
	}
	refused("model", p, ImageOptions{Model: "n", Resume: st})
	refused("options", newTest(t, m, Options{NoMirror: true, Rows: 1}), ImageOptions{Model: "m", Resume: st})
	was := im.Data[100]
	im.Data[100]++
	refused("scan", p, ImageOptions{Model: "m", Resume: st})
	im.Data[100] = was
	_, err = p.Image(t.Context(), im, ImageOptions{Model: "m", Resume: st, Probabilities: true})
	assert.ErrorContains(t, err, "whose state has none")
	damaged := *st
	damaged.acc = damaged.acc[1:]
	_, err = p.Image(t.Context(), im, ImageOptions{Model: "m", Resume: &damaged})
	assert.ErrorContains(t, err, "it is damaged")
	_, err = p.Image(t.Context(), im, ImageOptions{Model: "m", Resume: st})
	assert.NoError(t, err, "it is still good")
}

func TestADamagedStateIsAnError(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, (&State{of: "x", acc: make([]float32, 3), norm: make([]float32, 2), labels: make([]uint8, 5)}).Write(&b))
	for i := range b.Len() {
		bad := bytes.Clone(b.Bytes())
		bad[i] ^= 0x11
		_, err := ReadState(bytes.NewReader(bad), int64(len(bad)), "state")
		assert.Error(t, err, "byte %d", i)
	}
	_, err := ReadState(bytes.NewReader(b.Bytes()), int64(b.Len()-1), "state")
	assert.Error(t, err)
}

func FuzzReadState(f *testing.F) {
	var b bytes.Buffer
	if err := (&State{of: "x", acc: make([]float32, 3), norm: make([]float32, 2), labels: make([]uint8, 5)}).Write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = ReadState(bytes.NewReader(b), int64(len(b)), "state") // must not panic
	})
}
