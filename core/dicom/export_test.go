package dicom

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/gounet/gounet/core/volume"
	"github.com/stretchr/testify/require"
)

// TestExportForPeers writes objects and the labels that they were made of for
// bench/peers/dicom_*.py, which start it with the folder in GOUNET_DICOM_PEERS, and the
// actions of the table copied. It also writes what this package reads of files that the folder
// foreign/ holds.
func TestExportForPeers(t *testing.T) {
	root := os.Getenv("GOUNET_DICOM_PEERS")
	if root == "" {
		t.Skip("GOUNET_DICOM_PEERS names no folder: bench/peers/dicom_seg.py sets it")
	}
	ctx := context.Background()
	var cases []map[string]any
	for i, s := range scans {
		v := scanAt(t, s.path)
		l := blobs(v.Grid, 5, 11)
		dir := filepath.Join(root, fmt.Sprint(i))
		require.NoError(t, os.MkdirAll(dir, 0o700))
		for name, write := range map[string]func(*bytes.Buffer) error{
			"seg.dcm":      func(b *bytes.Buffer) error { return v.WriteSEG(ctx, b, l, testOptions(5)) },
			"labelmap.dcm": func(b *bytes.Buffer) error { return v.WriteLabelMap(ctx, b, l, testOptions(5)) },
			"rtstruct.dcm": func(b *bytes.Buffer) error { return v.WriteRTSTRUCT(ctx, b, l, testOptions(5)) },
		} {
			var b bytes.Buffer
			require.NoError(t, write(&b))
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o600))
		}
		var sources []map[string]any
		for k, in := range v.Instances {
			p := v.planes[k].position
			sources = append(sources, map[string]any{"instance": in.SOPInstanceUID, "frame": in.Frame, "position": p, "file": in.File})
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, "labels.raw"), l.Data, 0o600))
		cases = append(cases, map[string]any{
			"name": s.name, "folder": dir, "series": data(t, s.path), "shape": v.Shape, "slices": sources, "segments": testOptions(5).Segments,
			"mosaic": v.planes[0].tiles > 1, "times": s.name == "ten times",
		})
	}
	writeJSON(t, filepath.Join(root, "cases.json"), cases)
	actions := map[string]string{}
	for _, c := range copied {
		actions[fmt.Sprintf("%08x", uint32(c.tag))] = string(c.action)
	}
	writeJSON(t, filepath.Join(root, "actions.json"), actions)
	exportForeign(t, root)
}

// exportForeign reads the objects of others: foreign/NAME.dcm with the series that
// foreign/NAME.series names; it writes NAME.raw.
func exportForeign(t *testing.T, root string) {
	files, err := filepath.Glob(filepath.Join(root, "foreign", "*.dcm"))
	require.NoError(t, err)
	for _, name := range files {
		series, err := os.ReadFile(name[:len(name)-3] + "series")
		require.NoError(t, err)
		v := scanAt(t, string(series))
		var l *volume.Labels
		var overlap int64
		if seg, segErr := OpenSEG(fileOf(t, name)); segErr == nil {
			l, overlap, err = seg.Labels(context.Background(), v)
		} else {
			set, setErr := OpenRTSTRUCT(fileOf(t, name))
			require.NoError(t, setErr, segErr)
			l, overlap, err = set.Labels(context.Background(), v)
		}
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(name[:len(name)-3]+"raw", l.Data, 0o600))
		writeJSON(t, name[:len(name)-3]+"json", map[string]any{"overlap": overlap, "shape": l.Shape})
	}
}

func writeJSON(t *testing.T, name string, v any) {
	b, err := json.Marshal(v)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(name, b, 0o600))
}
