package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPrintableKeepsTextAndShowsControls(t *testing.T) {
	for text, want := range map[string]string{
		"Größe 3 × 4 mm\n\tµ": "Größe 3 × 4 mm\n\tµ",
		"a\x1b[31mred\x07":    `a\x1b[31mred\x07`,
		"\u009b2J":            `\u009b2J`,
		"\x9b2J":              `\x9b2J`, // no UTF-8, and what old terminals obey
		"over\rwritten":       `over\x0dwritten`,
		"gnp\u202e.exe":       `gnp\u202e.exe`,
	} {
		assert.Equal(t, want, printable(text))
		for cut := range len(text) {
			var b bytes.Buffer
			p := &printer{out: &b}
			for _, part := range []string{text[:cut], text[cut:]} {
				n, err := p.Write([]byte(part))
				require.NoError(t, err)
				assert.Equal(t, len(part), n)
			}
			assert.Equal(t, want, b.String(), "%q cut at %d", text, cut)
		}
	}
}

func TestControlsOfFileNamesDoNotReachTheTerminal(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "\x1b]0;owned\x07.nii.gz")
	b, err := os.ReadFile(filepath.Join(hippocampus, "imagesTr", "hippocampus_003.nii.gz"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(good, b, 0o600))
	bad := filepath.Join(dir, "\x1b[2J.nii.gz")
	require.NoError(t, os.WriteFile(bad, []byte("not"), 0o600))
	for _, path := range []string{good, bad} {
		got := gounet(t, "info", path)
		assert.NotContains(t, got.out+got.err, "\x1b")
		assert.NotContains(t, got.out+got.err, "\x07")
		assert.Contains(t, got.out+got.err, `\x1b`)
	}
	var out bytes.Buffer
	now := time.Now()
	p := &progress{out: &out, now: func() time.Time { return now }}
	task := p.start("check", "cases", 1)
	task.set(1, "\x1b[2J")
	task.end()
	p.print("plan %s", "\x1b[2J")
	assert.NotContains(t, out.String(), "\x1b")
}
