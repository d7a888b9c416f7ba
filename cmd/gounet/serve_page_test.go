package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Whoever has trained the demo learns how to look at it, or what is missing for that.
func TestTheDemoEndsWithAWayToThePage(t *testing.T) {
	assert.Equal(t, "or in a browser, in this folder:\n  gounet serve --demo     # then open http://localhost:8080\n", inBrowser(true))
	missing := inBrowser(false)
	assert.Contains(t, missing, "the page is not built")
	assert.Contains(t, missing, "  make web && make build\n  gounet serve --demo")
}
