package main

import (
	"fmt"
	"maps"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// envPrefix stands in front of a setting in the environment.
const envPrefix = "GOUNET_"

// notSettings are variables that this repository's own tests are told by.
var notSettings = []string{"GOUNET_DATA", "GOUNET_LONG"}

// settings are the values a command runs with: file, then environment, then
// flags, then the defaults of the flags where none of them speaks. The flags of
// the command hold the same values, so that commands read those.
type settings struct {
	values   map[string]any
	origin   map[string]string // default, flag, environment, or the path of the file
	given    map[string]string // what has another origin than its default, as it was typed
	warnings []string          // of what was given and has no effect
}

// givenKey is where settings that are recorded have those that were given: with such a
// record as --config the same are given again, and what the command or the plan decided is
// decided anew.
const givenKey = "given"

// used returns every setting with its value, to be written to a run folder.
func (s *settings) used() map[string]any {
	used := maps.Clone(s.values)
	used[givenKey] = s.given
	return used
}

// setByUser tells whether a setting has another origin than its default.
func (s *settings) setByUser(name string) bool { return s.origin[name] != "default" }

// positive makes sure that these settings are above 0 where the user gave them:
// their defaults of 0 mean that the plan decides.
func (s *settings) positive(names ...string) error {
	return s.within("a number above 0", func(v float64) bool { return v > 0 }, names)
}

// notNegative makes sure that these settings, of which 0 has a meaning, are 0 or above.
func (s *settings) notNegative(names ...string) error {
	return s.within("0 or a number above it", func(v float64) bool { return v >= 0 }, names)
}

// within makes sure that settings that the user gave are finite and ok.
func (s *settings) within(wanted string, ok func(float64) bool, names []string) error {
	for _, name := range names {
		value, has := s.values[name]
		if v := asFloat(value); has && s.setByUser(name) && !(ok(v) && v < math.Inf(1)) {
			return usagef("--%s is %v (from %s), wanted %s", name, value, s.origin[name], wanted)
		}
	}
	return nil
}

func asFloat(value any) float64 {
	v := reflect.ValueOf(value)
	switch {
	case v.CanInt():
		return float64(v.Int())
	case v.CanFloat():
		return v.Float()
	}
	return math.NaN()
}

// loadSettings gathers the settings of cmd and puts them into its flags.
func loadSettings(cmd *cobra.Command) (*settings, error) {
	s := &settings{values: map[string]any{}, origin: map[string]string{}, given: map[string]string{}}
	flags := cmd.Flags()
	k := koanf.New(".")

	if err := s.readFile(k, cmd); err != nil {
		return nil, err
	}
	known := flagNames(cmd.Root())
	err := k.Load(env.Provider(".", env.Opt{
		Prefix: envPrefix,
		TransformFunc: func(key, value string) (string, any) {
			name := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(key, envPrefix)), "_", "-")
			if !slices.Contains(known, name) && !slices.Contains(notSettings, key) {
				s.warnings = append(s.warnings, fmt.Sprintf("%s in the environment is no setting, and has no effect%s", key, suggestion(name, known)))
			}
			if flags.Lookup(name) == nil || name == "config" || value == "" {
				return "", nil
			}
			s.origin[name] = "environment"
			return name, value
		},
	}), nil)
	if err != nil {
		return nil, fmt.Errorf("environment: %w", err)
	}
	flags.Visit(func(f *pflag.Flag) { s.origin[f.Name] = "flag" })
	if err := k.Load(posflag.Provider(flags, ".", k), nil); err != nil {
		return nil, fmt.Errorf("flags: %w", err)
	}
	return s, s.apply(k, flags)
}

// mostConfig bounds the file of --config, in bytes.
const mostConfig = 1 << 20

// readFile loads the file of --config, or of GOUNET_CONFIG, into k. A key that no
// command has as a flag is an error; one of another command is left alone.
func (s *settings) readFile(k *koanf.Koanf, cmd *cobra.Command) error {
	flag := cmd.Flags().Lookup("config")
	if flag == nil {
		return nil
	}
	if path := os.Getenv(envPrefix + "CONFIG"); path != "" && flag.Value.String() == "" {
		s.origin[flag.Name] = "environment"
		if err := flag.Value.Set(path); err != nil {
			return err
		}
	}
	path := flag.Value.String()
	if path == "" {
		return nil
	}
	switch st, err := os.Stat(path); {
	case err != nil:
		return fmt.Errorf("config: %w", err)
	case st.Size() > mostConfig:
		return fmt.Errorf("config %s: %d MiB, settings have at most %d", path, st.Size()>>20, mostConfig>>20)
	}
	all := koanf.New(".")
	if err := all.Load(file.Provider(path), yaml.Parser()); err != nil {
		return fmt.Errorf("config %s: %w", path, err)
	}
	known := flagNames(cmd.Root())
	switch {
	case all.Exists(givenKey): // a record of settings
		all = all.Cut(givenKey)
	case all.Exists("version") && all.Exists("device-name"):
		return fmt.Errorf("config %s: these are the values that a run used, and not which of them were given: write those that you want into a file of their own, named like the flags", path)
	}
	for key, value := range all.All() {
		if !slices.Contains(known, key) {
			return fmt.Errorf("config %s: unknown setting %q%s", path, key, suggestion(key, known))
		}
		if cmd.Flags().Lookup(key) == nil {
			continue
		}
		if value == nil {
			return fmt.Errorf("config %s: %s has no value: give it one, or leave it out", path, key)
		}
		if err := k.Set(key, value); err != nil {
			return fmt.Errorf("config %s: %s: %w", path, key, err)
		}
		s.origin[key] = path
	}
	return nil
}

// apply sets the flags that were not typed to what k has for them.
func (s *settings) apply(k *koanf.Koanf, flags *pflag.FlagSet) error {
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" || f.Name == "version" || failed != nil {
			return
		}
		if s.origin[f.Name] == "" {
			s.origin[f.Name] = "default"
		}
		if origin := s.origin[f.Name]; origin != "flag" && origin != "default" && f.Name != "config" {
			text := k.String(f.Name)
			if list := k.Strings(f.Name); len(list) > 0 {
				text = strings.Join(list, ",")
			}
			if err := flags.Set(f.Name, text); err != nil {
				if why := unread(err); why != nil {
					err = why
				}
				failed = fmt.Errorf("%s from %s: %q: %w", f.Name, origin, text, err)
				if origin == "environment" {
					failed = fmt.Errorf("%s: %w", variable(f.Name), failed)
				}
				return
			}
		}
		s.values[f.Name] = posflag.FlagVal(flags, f)
		if s.setByUser(f.Name) && f.Name != "config" {
			s.given[f.Name] = typed(f.Value)
		}
	})
	return failed
}

// typed is a value as it is given to a flag.
func typed(v pflag.Value) string {
	if list, ok := v.(pflag.SliceValue); ok {
		return strings.Join(list.GetSlice(), ",")
	}
	return v.String()
}

// variable is the name of a setting in the environment.
func variable(name string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// flagNames are the flags of root and of all commands below it.
func flagNames(root *cobra.Command) []string {
	var names []string
	add := func(f *pflag.Flag) { names = append(names, f.Name) }
	root.PersistentFlags().VisitAll(add)
	root.Flags().VisitAll(add)
	for _, c := range root.Commands() {
		names = append(names, flagNames(c)...)
	}
	return names
}

// suggestion names the closest of known, if one is close.
func suggestion(key string, known []string) string {
	best, distance := "", 3
	for _, name := range known {
		if d := editDistance(key, name); d < distance {
			best, distance = name, d
		}
	}
	if best == "" {
		return ": settings are named like the flags"
	}
	return fmt.Sprintf(": did you mean %q?", best)
}

// editDistance counts the letters to insert, delete or replace to get from a to b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
