package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
)

// noArgs is the check of a command that takes flags only.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("argument %q: this command takes none", args[0])
	}
	return nil
}

// wantArgs checks that there is one argument for each name.
func wantArgs(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usagef("%s is missing", names[len(args)])
		case len(args) > len(names):
			return usagef("argument %q: %d were wanted, %d are there", args[len(names)], len(names), len(args))
		}
		return nil
	}
}

// printJSON writes v as indented JSON, for programs.
func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("json: %w", err)
	}
	return nil
}

// number is a float64 that JSON writes as null where it is not finite.
type number float64

// MarshalJSON writes null for NaN and the infinities, which JSON does not have.
func (n number) MarshalJSON() ([]byte, error) {
	b, err := json.Marshal(float64(n))
	if err != nil {
		return []byte("null"), nil //nolint:nilerr // the only error there is, and null is its answer
	}
	return b, nil
}

func numbers(x []float64) []number {
	out := make([]number, len(x))
	for i, v := range x {
		out[i] = number(v + 0) // no negative zero
	}
	return out
}

// count is a number of things in words: 1 case, 2 cases.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// oneOf makes sure that a choice, if there is one, is among the names.
func oneOf(flag, choice string, names ...string) error {
	if choice == "" || slices.Contains(names, choice) {
		return nil
	}
	return usagef("--%s %s: wanted %s", flag, choice, join(names, ", "))
}
