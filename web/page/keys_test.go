package page

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestKeysWaitForADialog(t *testing.T) {
	p, _ := compared(t)
	p.EndCompare()
	p.Show(DialogDiagnostics)
	assert.False(t, p.Key(KeyStroke{Key: "o", Ctrl: true, View: -1}))
	assert.Equal(t, ScreenWork, p.Screen)
	p.Close()
	p.OpenAnother()
	p.Key(KeyStroke{Key: "e", Ctrl: true, View: -1})
	assert.Equal(t, NoDialog, p.Dialog, "no labels are on screen")
}
