package test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// largeCT writes a scan like a CT of the trunk: air, a body of soft tissue with noise,
// lungs and a spine, in whole HU. Every slice says by one voxel which it is.
func largeCT(t testing.TB, w, h, d int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "trunk.nii")
	f, err := os.Create(path)
	require.NoError(t, err)
	b := bufio.NewWriterSize(f, 1<<20)
	le := binary.LittleEndian
	head := make([]byte, 352)
	le.PutUint32(head, 348)
	for i, n := range []int{3, w, h, d, 1, 1, 1, 1} {
		le.PutUint16(head[40+2*i:], uint16(n))
	}
	le.PutUint16(head[70:], 4) // int16
	le.PutUint16(head[72:], 16)
	float := func(at int, x float64) { le.PutUint32(head[at:], math.Float32bits(float32(x))) }
	for i, x := range []float64{1, .8, .8, 1.5} {
		float(76+4*i, x)
	}
	float(108, 352)
	float(112, 1)
	head[123] = 2               // mm
	le.PutUint16(head[254:], 1) // sform
	for r, x := range []float64{.8, .8, 1.5} {
		float(280+16*r+4*r, x)
	}
	copy(head[344:], "n+1")
	_, err = b.Write(head)
	require.NoError(t, err)
	row, noise := make([]byte, 2*w), uint32(1)
	for z := range d {
		for y := range h {
			for x := range w {
				u, v := (float64(x)/float64(w)-.5)*2, (float64(y)/float64(h)-.5)*2
				hu := -1000
				if u*u/.8+v*v/.5 < 1 {
					noise = noise*1664525 + 1013904223
					hu = 40 + int(noise>>27)
					switch lung := math.Abs(u) - .4; {
					case lung*lung/.06+v*v/.16 < 1:
						hu -= 850
					case u*u+(v+.5)*(v+.5) < .01:
						hu += 600
					}
				}
				le.PutUint16(row[2*x:], uint16(int16(hu)))
			}
			if y == 0 {
				le.PutUint16(row, uint16(int16(z)))
			}
			_, err = b.Write(row)
			require.NoError(t, err)
		}
	}
	require.NoError(t, b.Flush())
	require.NoError(t, f.Close())
	return path
}

// A CT of the trunk is looked at without the page standing still.
func TestALargeCTIsOpenedAndScrolled(t *testing.T) {
	const w, h, d = 512, 512, 300
	path := largeCT(t, w, h, d)
	p := open(t, newSite(t, nil), 1366, 768)
	p.until("the worker is there", `document.querySelector(".status").innerText.includes("WebGPU")`)
	begun := time.Now()
	p.watched("a scan of 512×512×300 is opened", 100, func() {
		p.give("Choose files", path)
		p.scanIsOpen()
	})
	t.Logf("it is shown after %.1f s", time.Since(begun).Seconds())
	assert.Contains(t, p.text(".kv"), "512 × 512 × 300")
	p.shot("02-large-ct")
	slice := func() int {
		var at, of int
		_, err := fmt.Sscanf(p.text(".vp-main .tl i"), "%d / %d", &at, &of)
		require.NoError(t, err)
		assert.Equal(t, d, of)
		return at
	}
	before := slice()
	var frames []float64
	p.drawn("it is scrolled", 100, func() { frames = eval[[]float64](p, scroll) })
	p.until("a slice a frame", fmt.Sprintf(`document.querySelector(".vp-main .tl i").innerText.startsWith("%d / ")`, before-len(frames)))
	slices.Sort(frames)
	middle, worst := frames[len(frames)/2], frames[len(frames)-1]
	t.Logf("%d frames: half of them within %.0f ms, the longest %.0f ms", len(frames), middle, worst)
	bytes := eval[float64](p, `performance.measureUserAgentSpecificMemory().then(m => m.bytes)`)
	t.Logf("the page holds %.0f MB", bytes/1e6)
	assert.Less(t, bytes, 2.*2*w*h*d, "no second copy of the voxels, of 2 bytes")
	p.drawn("its window is dragged", 100, func() {
		for range 3 {
			p.key("2")
			p.key("3")
		}
	})
	p.noErrors()
}

// scroll turns the wheel over the axial view, one slice a frame, and says how long the
// frames took in ms.
const scroll = `(async () => {
  const v = document.querySelector(".vp-main"), b = v.getBoundingClientRect(), times = [];
  let last = await new Promise(requestAnimationFrame);
  for (let i = 0; i < 60; i++) {
    v.dispatchEvent(new WheelEvent("wheel", { deltaY: 100, bubbles: true, cancelable: true, clientX: b.left + b.width / 2, clientY: b.top + b.height / 2 }));
    const now = await new Promise(requestAnimationFrame);
    times.push(now - last);
    last = now;
  }
  await new Promise(requestAnimationFrame);
  return times;
})()`

// Nobody waits for the first picture, which takes longest: it is shown when it is drawn.
func TestTheFirstPictureIsDrawnUnseen(t *testing.T) {
	p := open(t, newSite(t, nil), 1366, 768)
	p.until("the viewer is there", `document.querySelector(".gl canvas") !== null`)
	eval[bool](p, `(() => {
		const canvas = document.querySelector(".gl canvas"), gl = canvas.getContext("webgl2"), draw = gl.drawArrays.bind(gl);
		globalThis.drawn = [];
		gl.drawArrays = (...a) => { drawn.push(getComputedStyle(canvas).display); draw(...a); };
		return true;
	})()`)
	p.give("Choose files", hippocampus(t))
	p.scanIsOpen()
	p.until("it is seen", `getComputedStyle(document.querySelector(".gl canvas")).display !== "none"`)
	p.key("3")
	p.until("it is drawn", `drawn.length > 0 && drawn.at(-1) !== "none"`)
	assert.Equal(t, "none", eval[string](p, `drawn[0]`))
}
