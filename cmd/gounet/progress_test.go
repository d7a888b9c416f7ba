package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestWithoutATerminalProgressIsALineNowAndThen(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, false)
	clock := time.Unix(0, 0)
	p.now = func() time.Time { return clock }

	work := p.start("train", "steps", 100)
	work.set(1, "loss 0.9")
	assert.Empty(t, out.String(), "too early")
	clock = clock.Add(20 * time.Second)
	work.set(25, "loss 0.5")
	assert.Equal(t, "train 25/100 steps, 20s, 1m00s left, loss 0.5\n", out.String())
	work.set(26, "")
	clock = clock.Add(55 * time.Second)
	out.Reset()
	work.set(100, "")
	work.end()
	work.end()
	assert.Equal(t, "train 100/100 steps, 1m15s, loss 0.5\n", out.String(), "said once, in the end")
	p.wait()
}

func TestATotalMayComeLaterOrNever(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, false)
	work := p.start("unpack", "files", 0)
	work.set(19, "")
	work.end()
	assert.Equal(t, "unpack 19 files, 0.0s\n", out.String())
	out.Reset()
	work = p.start("check", "cases", 0)
	work.follow(11, 12, "a")
	work.end()
	assert.Regexp(t, "^check 11/12 cases, ", out.String())
	assert.Equal(t, 1, mebibytes(5), "a small file is not nothing")
	p.wait()
}

func TestQuietSaysNothing(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, true)
	work := p.start("train", "steps", 1)
	work.set(1, "")
	work.end()
	p.print("a line")
	p.wait()
	assert.Empty(t, out.String())
}

func TestDurationsReadLikeSpeech(t *testing.T) {
	for d, want := range map[time.Duration]string{
		400 * time.Millisecond: "0.4s",
		59 * time.Second:       "59s",
		185 * time.Second:      "3m05s",
		130 * time.Minute:      "2h10m",
	} {
		assert.Equal(t, want, seconds(d))
	}
}

func TestSizesReadLikeSpeech(t *testing.T) {
	for n, want := range map[int64]string{0: "unknown", 2048: "2 KiB", 5 << 20: "5 MiB", 3 << 29: "1.5 GiB"} {
		assert.Equal(t, want, size(n))
	}
}
