package test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func hippocampus(t testing.TB) string {
	list, err := filepath.Glob("../../testdata/hippocampus/imagesTr/*.nii.gz")
	require.NoError(t, err)
	require.NotEmpty(t, list)
	path, err := filepath.Abs(list[0])
	require.NoError(t, err)
	return path
}

func TestTheFlow(t *testing.T) {
	s := newSite(t, nil)
	p := open(t, chromium(t), s, 1366, 768)
	p.shot("01-open")
	p.give("Choose files", hippocampus(t))
	p.until("the scan is shown", `document.querySelector(".work:not(.away) .panel h2")?.innerText === "Scan"`)
	p.shot("02-scan")
	p.noErrors()
}
