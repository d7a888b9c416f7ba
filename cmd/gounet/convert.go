package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/dicom"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
)

// convertFlags are the flags of `gounet convert`.
type convertFlags struct {
	labels    bool
	reference string
	series    []string
	anonymise bool
	name      string
}

func newConvert(a *app) *cobra.Command {
	var f convertFlags
	cmd := &cobra.Command{
		Use:   "convert IN... OUT",
		Short: "write a scan or label map in another format",
		Long: `convert reads a scan or a label map of any format and writes it in the one that
the ending of OUT names: scans as .nii.gz, .nii, .nrrd, .mha or .tif (one channel,
its spacing in a .json beside it); label maps also as .mhd, .seg.nrrd, .mgz or .png,
as the DICOM objects .seg.dcm, .labelmap.dcm and .rtstruct.dcm, and as the surfaces
.glb, .stl and .obj. Voxels stay where they
are: nothing is resampled or turned, but labels of the voxels of --reference are
put into its order.

IN is a file, or a folder or zip of DICOM; "-" is the standard input. Several are the
files of one series of DICOM, or the channels of one scan. IN is taken as a label map if it says
so itself, if OUT can be nothing else, or with --labels. The DICOM objects refer
to the images of a scan, which --reference names; a structure set is read with
the scan that it was drawn on.`,
		Example: `  gounet convert study/ scan.nii.gz --series 4
  gounet convert labels.nii.gz labels.seg.dcm --reference study/
  gounet convert structures.dcm labels.nii.gz --reference study/
  gounet convert labels.nii.gz liver.glb`,
		Args: func(cmd *cobra.Command, args []string) error {
			return wantArgs("IN", "OUT")(cmd, args[:min(len(args), 2)]) // more are more INs
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), a, args[:len(args)-1], args[len(args)-1])
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.labels, "labels", false, "IN is a label map")
	flags.StringVar(&f.reference, "reference", "", "`scan` that the labels were made of, a folder, zip or file")
	flags.StringSliceVar(&f.series, "series", nil, "series of a DICOM study by `number` or UID, a channel each")
	flags.StringVar(&f.name, "algorithm", "gounet", "`name` of what made the labels, for DICOM")
	flags.BoolVar(&f.anonymise, "anonymise", false, "no text of the source is kept; of DICOM what the basic profile of PS3.15 keeps")
	return cmd
}

func (f *convertFlags) run(ctx context.Context, a *app, in []string, out string) (err error) {
	if err := checkOutput("OUT", out); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o777); err != nil {
		return err
	}
	for i := range in {
		file, done, err := a.given(in[i])
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, done()) }()
		in[i] = file
	}
	if f.reference != "" && len(in) > 1 {
		return usagef("%d files of labels for one --reference: give one", len(in))
	}
	if f.reference != "" {
		return f.fromReference(ctx, a, in[0], out)
	}
	s, err := scan.Open(ctx, scan.Options{Series: f.series}, in...)
	if err != nil {
		return f.explain(err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for _, w := range s.Warnings {
		a.lines().warn("%s", w)
	}
	if f.labels || s.Kind == scan.SEG || len(s.Segments()) > 0 || onlyLabels(out) {
		l, segments, err := s.Labels()
		if err != nil && onlyLabels(out) && !f.labels {
			return fmt.Errorf("%w: OUT ends as label maps do, scans are written as %s", err, strings.Join(scan.ImageEndings(), ", "))
		}
		if err != nil {
			return err
		}
		return f.writeLabels(a, s, l, segments, out)
	}
	im, err := s.Image(ctx)
	if err != nil {
		return err
	}
	header := s.Header()
	if f.anonymise {
		header = nil
	}
	if err := scan.WriteImage(out, im, header); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s, %s: %s\n", join(im.Shape[:], "×")+" voxels (D H W)", count(im.C, "channel"), out)
	return err
}

// explain adds what to do about a structure set.
func (f *convertFlags) explain(err error) error {
	if errors.Is(err, dicom.ErrNotScan) {
		return fmt.Errorf("%w: of a structure set, give the scan that it was drawn on as --reference", err)
	}
	return err
}

// onlyLabels says whether the ending of path is of label maps only.
func onlyLabels(path string) bool { return !slices.Contains(scan.ImageEndings(), voxel.Ending(path)) }

// fromReference converts labels that lie on a scan.
func (f *convertFlags) fromReference(ctx context.Context, a *app, in, out string) (err error) {
	s, err := scan.Open(ctx, scan.Options{Series: f.series}, f.reference)
	if err != nil {
		return fmt.Errorf("--reference: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	l, segments, err := s.ReadLabelsOn(ctx, in)
	if err != nil {
		return err
	}
	return f.writeLabels(a, s, l, segments, out)
}

// writeLabels writes labels on the grid of s.
func (f *convertFlags) writeLabels(a *app, s *scan.Scan, l *volume.Labels, segments []scan.Segment, out string) error {
	formats := labelFormats(dicom.WriteOptions{
		Algorithm: dicom.Algorithm{Name: f.name, Version: version}, Software: version, Anonymise: f.anonymise,
	})
	format, err := scan.FormatOf(formats, out)
	if err != nil {
		return usageError{err}
	}
	if f.anonymise {
		s = s.WithoutHeader()
	}
	err = format.Write(out, s, l, segments)
	if errors.Is(err, errNoSeries) && f.reference == "" {
		return usageError{fmt.Errorf("%w, or give the series that the labels were made of as --reference", err)}
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s, %s: %s\n", join(l.Shape[:], "×")+" voxels (D H W)", count(len(complete(l, segments)), "label"), out)
	return err
}
