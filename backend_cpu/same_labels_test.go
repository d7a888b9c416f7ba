package cpu

import (
	"hash/fnv"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/predict"
)

// The golden models on golden scans, which need several tiles and resampling:
// logits differ in their last bits between instruction sets, labels do not. The
// hash is for comparing hosts.
func TestInstructionSetsGiveTheSameLabels(t *testing.T) {
	data := os.Getenv("GOUNET_DATA")
	if data == "" {
		t.Skip("GOUNET_DATA is not set: it names the folder with golden/")
	}
	results := filepath.Join(data, "golden/nnunetv2_results/Dataset004_Hippocampus")
	for _, c := range []struct{ configuration, scan string }{
		{"3d_fullres", "hippocampus_033"},
		{"3d_fullres", "thick_s"},
		{"2d", "hippocampus_035"},
	} {
		t.Run(c.configuration+"/"+c.scan, func(t *testing.T) {
			model, err := checkpoint.Open(filepath.Join(results, "nnUNetTrainer__nnUNetPlansF8__"+c.configuration))
			require.NoError(t, err)
			image, _, err := nifti.ReadImage(filepath.Join(data, "golden/predict/inputs", c.scan+"_0000.nii.gz"))
			require.NoError(t, err)
			var want []uint8
			for _, isa := range ISAs() {
				dev := Open(Options{Workers: 2, ISA: isa})
				p, err := predict.New(model, predict.Options{Device: dev, NoMirror: true})
				require.NoError(t, err)
				r, err := p.Image(t.Context(), image, predict.ImageOptions{})
				require.NoError(t, err)
				p.Close()
				require.NoError(t, dev.Close())
				h := fnv.New64a()
				_, _ = h.Write(r.Labels.Data)
				t.Logf("%s: %016x", isa, h.Sum64())
				if want == nil {
					want = r.Labels.Data
				}
				assert.Equal(t, want, r.Labels.Data, isa)
			}
		})
	}
}
