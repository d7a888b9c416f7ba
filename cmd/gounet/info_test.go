package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const hippocampus = "../../testdata/hippocampus"

func TestInfoOfAScanIsReadByPrograms(t *testing.T) {
	got := gounet(t, "info", filepath.Join(hippocampus, "imagesTr", "hippocampus_003.nii.gz"), "--json")
	require.Equal(t, exitOK, got.code, got.err)
	var scan scanInfo
	require.NoError(t, json.Unmarshal([]byte(got.out), &scan))
	assert.Equal(t, "scan", scan.Kind)
	assert.Equal(t, "NIfTI-1", scan.Format)
	assert.Equal(t, []int{34, 52, 35}, scan.Shape)
	assert.Equal(t, []number{1, 1, 1}, scan.SpacingMM)
	assert.Equal(t, [4]number{1, 0, 0, 1}, scan.Affine[0])
	assert.Equal(t, [4]number{0, 0, 0, 1}, scan.Affine[3])
	assert.Equal(t, "float32", scan.DType)
	assert.InDelta(t, 0, float64(scan.Min), 0)
	assert.Greater(t, scan.Max, scan.Mean)
}

// TestInfoEqualsNibabel compares with what nibabel says of the reference files;
// where nibabel refuses a file, so must info.
func TestInfoEqualsNibabel(t *testing.T) {
	data := os.Getenv("GOUNET_DATA")
	if data == "" {
		t.Skip("GOUNET_DATA names no folder with the reference data")
	}
	text, err := os.ReadFile(filepath.Join(data, "nifti", "expected_nibabel.json"))
	require.NoError(t, err)
	var expected map[string]struct {
		Shape  []int         `json:"shape"`
		DType  string        `json:"disk_dtype"`
		Affine [4][4]float64 `json:"affine"`
		Zooms  []float64     `json:"zooms"`
		Class  string        `json:"klass"`
		Min    *float64      `json:"min"`
		Max    *float64      `json:"max"`
		Mean   *float64      `json:"mean"`
		NaN    int64         `json:"nan"`
		Error  string        `json:"error"`
	}
	require.NoError(t, json.Unmarshal(text, &expected))
	for name, want := range expected {
		t.Run(name, func(t *testing.T) {
			got := gounet(t, "info", filepath.Join(data, name), "--json")
			if want.Error != "" || !strings.HasPrefix(want.Class, "Nifti") || want.Min == nil {
				t.Log(got.code, strings.TrimSpace(got.err))
				return
			}
			require.Equal(t, exitOK, got.code, got.err)
			var scan scanInfo
			require.NoError(t, json.Unmarshal([]byte(got.out), &scan))
			assert.Equal(t, want.Shape, scan.Shape)
			assert.Equal(t, plainType(want.DType), scan.DType)
			for i := range scan.SpacingMM {
				assert.InEpsilon(t, want.Zooms[i], float64(scan.SpacingMM[i]), 1e-6)
			}
			for i, row := range want.Affine {
				for j, v := range row {
					assert.InDelta(t, v, float64(scan.Affine[i][j]), 1e-4)
				}
			}
			assert.InDelta(t, *want.Min, float64(scan.Min), 1e-9)
			assert.InDelta(t, *want.Max, float64(scan.Max), 1e-9)
			assert.InEpsilon(t, 1+*want.Mean, 1+float64(scan.Mean), 1e-6)
			assert.Equal(t, want.NaN, scan.NaN)
		})
	}
}

// plainType is numpy's name of a type without its byte order.
func plainType(numpy string) string {
	plain := strings.NewReplacer(">", "", "f", "float", "i", "int", "u", "uint", "8", "64", "4", "32", "2", "16", "1", "8")
	if strings.HasPrefix(numpy, ">") {
		return plain.Replace(numpy)
	}
	return numpy
}
