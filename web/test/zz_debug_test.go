package test

import (
	"os"
	"testing"
	"time"
)

func TestDebug(t *testing.T) {
	js := os.Getenv("DEBUG_JS")
	if js == "" {
		t.Skip()
	}
	s := newSite(t, nil)
	p := open(t, chromium(t), s, 1366, 768)
	time.Sleep(3 * time.Second)
	t.Log(eval[string](p, js))
	t.Log(p.console)
}
