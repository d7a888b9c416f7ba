package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/dataset"
)

func newConvertDataset(a *app) *cobra.Command {
	to, output := "", ""
	cmd := &cobra.Command{
		Use:   "convert-dataset DATASET --to FORM --output FOLDER",
		Short: "turn a data set into the form of the Decathlon, of nnU-Net v1 or v2",
		Long: `convert-dataset writes a data set in another form: a file a channel and case (nnU-Net
v1 and v2) or a file a case (the Decathlon), with the dataset.json of that form. The
data set itself stays as it is. Regions and ignored labels are of v2 alone.`,
		Example: `  gounet convert-dataset Task04_Hippocampus --to nnunetv2 --output nnUNet_raw/Dataset004_Hippocampus`,
		Args:    wantArgs("DATASET"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if to == "" || output == "" {
				return usagef("convert-dataset: --to and --output are both needed")
			}
			if err := oneOf("to", to, dataset.Forms()...); err != nil {
				return fmt.Errorf("convert-dataset: %w", err)
			}
			if err := checkOutput("--output", output); err != nil {
				return fmt.Errorf("convert-dataset: %w", err)
			}
			raw, err := dataset.Open(args[0])
			if err != nil {
				return fmt.Errorf("convert-dataset: %w", err)
			}
			p := a.progressOf()
			defer p.wait()
			t := p.start("convert", "cases", len(raw.Cases)+len(raw.Test))
			err = raw.Convert(cmd.Context(), output, to, func(n, _ int, what string) { t.set(n, what) })
			t.end()
			if err != nil {
				return fmt.Errorf("convert-dataset: %w", err)
			}
			_, err = fmt.Fprintf(a.out, "%s to train on, %d to label: %s\n", count(len(raw.Cases), "case"), len(raw.Test), output)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&to, "to", "", join(dataset.Forms(), ", "))
	flags.StringVar(&output, "output", "", "`folder` of the new data set")
	return cmd
}
