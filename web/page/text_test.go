package page

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNamesAreCutBetweenLetters(t *testing.T) {
	p, _ := compared(t)
	p.EndCompare()
	p.Pick(0)
	p.rename("Ä" + "ööööööööööööööööööööööööööööööööööööö")
	assert.Equal(t, "Äööööööööööööööööööööööööööööö", p.Result.Labels[0].Name, "60 bytes")
	assert.Equal(t, "Übung", Title("Dataset001_übung"))
	assert.Equal(t, "Ödem fehlt.", sentence("ödem fehlt"))
}
