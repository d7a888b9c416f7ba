package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/pflag"
)

// wantedValues says what a flag of a type takes.
var wantedValues = map[string]string{
	"int":          "a whole number",
	"uint64":       "a whole number from 0 on",
	"float64":      "a number",
	"bool":         "true or false",
	"duration":     "a time such as 90m or 1h30m",
	"intSlice":     "whole numbers, comma separated",
	"float64Slice": "numbers, comma separated",
	"stringSlice":  "words, comma separated",
}

// unread says what was wanted in the place of a value that is none of its flag's, or nil if
// err is about something else.
func unread(err error) error {
	bad := (*pflag.InvalidValueError)(nil)
	if !errors.As(err, &bad) {
		return nil
	}
	wanted, ok := wantedValues[bad.GetFlag().Value.Type()]
	switch {
	case errors.Is(err, strconv.ErrRange):
		return errors.New("a number out of range")
	case !ok:
		return nil
	}
	return fmt.Errorf("wanted %s", wanted)
}

// flagError is what a flag that cannot be read is said to be, in words of ours.
func flagError(err error) error {
	why, bad := unread(err), (*pflag.InvalidValueError)(nil)
	if why == nil || !errors.As(err, &bad) {
		return usageError{err}
	}
	return usagef("--%s %s: %w", bad.GetFlag().Name, bad.GetValue(), why)
}
