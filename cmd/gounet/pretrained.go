package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/train"
)

// pretrain reads the model that a run begins with, and refuses one that hardly fits: it
// would be a training from nothing that says otherwise. A run that goes on has begun.
func (f *trainFlags) pretrain(r *ready) (err error) {
	if f.pretrained == "" {
		return nil
	}
	if r.Pretrained, err = checkpoint.Import(f.pretrained, checkpoint.ImportOptions{}); err != nil {
		return fmt.Errorf("--pretrained: %w", err)
	}
	if _, err := os.Stat(filepath.Join(r.Dir, checkpoint.StateFile)); err == nil && f.resume {
		return nil
	}
	c, err := configuration(r.Plan, r.Configuration)
	if err != nil {
		return err
	}
	_, report, err := checkpoint.Transfer(r.Pretrained, r.Plan, c, nil)
	if err != nil {
		return fmt.Errorf("--pretrained: %w", err)
	}
	if share := checkpoint.Share(report); share < f.pretrainedShare {
		return fmt.Errorf("--pretrained %s: %.3g %% of the weights fit, wanted %.3g %% or more; --pretrained-share 0 begins all the same:%s",
			f.pretrained, 100*share, 100*f.pretrainedShare, reasons(report))
	}
	return nil
}

// reasons lists the layers that begin with no or few of the other network's values.
func reasons(report []checkpoint.Layer) string {
	const most = 12
	var lines []string
	for _, l := range report {
		if l.State != checkpoint.Taken {
			lines = append(lines, fmt.Sprintf("\n  %s %v is %s: %s", l.Name, l.Shape, l.State, l.Why))
		}
	}
	if more := len(lines) - most; more > 0 {
		lines = append(lines[:most], fmt.Sprintf("\n  and %d more", more))
	}
	return strings.Join(lines, "")
}

// printPretrained says how much of a network came from another model.
func printPretrained(a *app, dir string) error {
	report, err := train.ReadPretrained(dir)
	if err != nil {
		return err
	}
	counts := map[string]int{}
	for _, l := range report {
		counts[l.State]++
		if l.State != checkpoint.Taken {
			fmt.Fprintf(a.err, "note: %s is %s: %s\n", l.Name, l.State, l.Why)
		}
	}
	_, err = fmt.Fprintf(a.out, "pretrained %.3g %% of the weights: %d parameters taken, %d in part, %d fresh: %s\n", 100*checkpoint.Share(report),
		counts[checkpoint.Taken], counts[checkpoint.Part], counts[checkpoint.Fresh], filepath.Join(dir, train.PretrainedFile))
	return err
}
