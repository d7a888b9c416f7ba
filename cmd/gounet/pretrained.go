package main

import (
	"fmt"
	"path/filepath"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/train"
)

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
	_, err = fmt.Fprintf(a.out, "pretrained %d parameters taken, %d in part, %d fresh: %s\n", counts[checkpoint.Taken], counts[checkpoint.Part], counts[checkpoint.Fresh],
		filepath.Join(dir, train.PretrainedFile))
	return err
}
