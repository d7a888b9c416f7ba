package ranks

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMessagesComeAsTheyWereSent(t *testing.T) {
	m := message{Kind: hello, Rank: 3, World: 8, Name: "rank 3", Facts: map[string]string{"--seed": "7"}, Address: "[::1]:4000"}
	var b bytes.Buffer
	require.NoError(t, send(&b, m))
	got, err := receive(&b, mostBytes)
	require.NoError(t, err)
	assert.Equal(t, m, got)
	require.NoError(t, send(&b, message{Kind: welcome, Names: make([]string, MostRanks)}), "as many as there may be")
	require.ErrorContains(t, send(&b, message{Why: strings.Repeat("x", mostBytes)}), "at most")
}

func FuzzFirst(f *testing.F) {
	f.Add([]byte(magic + "\x00\x00\x00\x10" + `{"kind":"hello"}`))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := first(bytes.NewReader(b))
		if err != nil {
			require.Zero(t, m)
			return
		}
		var out bytes.Buffer
		require.NoError(t, send(&out, m))
		again, err := receive(&out, mostBytes)
		require.NoError(t, err)
		assert.Equal(t, m.Kind, again.Kind)
		assert.Equal(t, m.Rank, again.Rank)
	})
}
