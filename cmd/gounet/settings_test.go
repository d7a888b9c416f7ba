package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// loaded returns the settings of a command with some flags, run with args.
func loaded(t *testing.T, args ...string) (*settings, error) {
	t.Helper()
	var s *settings
	var failed error
	root := &cobra.Command{Use: "root", SilenceErrors: true, SilenceUsage: true}
	root.PersistentFlags().String("config", "", "")
	cmd := &cobra.Command{Use: "train", RunE: func(cmd *cobra.Command, _ []string) error {
		s, failed = loadSettings(cmd)
		return nil
	}}
	cmd.Flags().Int("epochs", 1000, "")
	cmd.Flags().Float64("learning-rate", 0.01, "")
	cmd.Flags().Bool("resume", false, "")
	cmd.Flags().StringSlice("folds", []string{"0"}, "")
	other := &cobra.Command{Use: "predict", RunE: func(*cobra.Command, []string) error { return nil }}
	other.Flags().Float64("step", 0.5, "")
	root.AddCommand(cmd, other)
	root.SetArgs(append([]string{"train"}, args...))
	require.NoError(t, root.Execute())
	return s, failed
}

func config(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "settings.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o666))
	return path
}

func TestFlagBeatsEnvironmentBeatsFileBeatsDefault(t *testing.T) {
	path := config(t, "epochs: 1\nlearning-rate: 0.1\nresume: true\nfolds: [1, 2]\n")

	s, err := loaded(t)
	require.NoError(t, err)
	assert.Equal(t, 1000, s.used()["epochs"])
	assert.Equal(t, "default", s.origin["epochs"])

	s, err = loaded(t, "--config", path)
	require.NoError(t, err)
	assert.Equal(t, 1, s.used()["epochs"])
	assert.Equal(t, true, s.used()["resume"])
	assert.Equal(t, []string{"1", "2"}, s.used()["folds"])
	assert.Equal(t, path, s.origin["epochs"])

	t.Setenv("GOUNET_EPOCHS", "2")
	t.Setenv("GOUNET_LEARNING_RATE", "0.2")
	s, err = loaded(t, "--config", path)
	require.NoError(t, err)
	assert.Equal(t, 2, s.used()["epochs"])
	assert.Equal(t, 0.2, s.used()["learning-rate"])
	assert.Equal(t, "environment", s.origin["epochs"])

	s, err = loaded(t, "--config", path, "--epochs", "3")
	require.NoError(t, err)
	assert.Equal(t, 3, s.used()["epochs"])
	assert.Equal(t, 0.2, s.used()["learning-rate"])
	assert.Equal(t, "flag", s.origin["epochs"])
	assert.True(t, s.setByUser("epochs"))
}

func TestUnknownSettingInFileIsNamed(t *testing.T) {
	path := config(t, "epoch: 1\n")
	_, err := loaded(t, "--config", path)
	require.Error(t, err)
	assert.Contains(t, err.Error(), `unknown setting "epoch": did you mean "epochs"?`)
	assert.Contains(t, err.Error(), path)
}

func TestSettingOfAnotherCommandIsLeftAlone(t *testing.T) {
	s, err := loaded(t, "--config", config(t, "step: 0.25\nepochs: 7\n"))
	require.NoError(t, err)
	assert.Equal(t, 7, s.used()["epochs"])
	assert.NotContains(t, s.used(), "step")
}

func TestUnknownVariableOfTheEnvironmentIsSaidToHaveNoEffect(t *testing.T) {
	t.Setenv("GOUNET_EPOCH", "5")
	t.Setenv("GOUNET_STEP", "0.25") // of another command
	t.Setenv("GOUNET_EPOCHS", "7")
	s, err := loaded(t)
	require.NoError(t, err)
	assert.Equal(t, []string{`GOUNET_EPOCH in the environment is no setting, and has no effect: did you mean "epochs"?`}, s.warnings)
	assert.Equal(t, 7, s.used()["epochs"])
	got := gounet(t, "version", "--quiet")
	assert.Equal(t, exitOK, got.code)
	assert.Contains(t, got.err, "GOUNET_EPOCH in the environment")
}

func TestBadValueNamesItsOrigin(t *testing.T) {
	t.Setenv("GOUNET_EPOCHS", "many")
	_, err := loaded(t)
	require.Error(t, err)
	assert.Contains(t, err.Error(), `epochs from environment: "many"`)
}

func TestMissingFileIsNamed(t *testing.T) {
	_, err := loaded(t, "--config", "absent.yaml")
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.Contains(t, err.Error(), "absent.yaml")
}

func TestARecordOfSettingsIsAConfig(t *testing.T) {
	t.Setenv("GOUNET_CONFIG", config(t, "epochs: 3\nfolds: [1, 2]\n"))
	s, err := loaded(t, "--resume")
	require.NoError(t, err)
	assert.Equal(t, os.Getenv("GOUNET_CONFIG"), s.used()["config"], "what was read is recorded, whoever named it")
	used := s.used()
	used["device-name"], used["version"], used["learning-rate"] = "CPU", version, 0.5 // what a plan decided
	record := filepath.Join(t.TempDir(), "settings.json")
	writeJSON(t, record, used)
	again, err := loaded(t, "--config", record)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"epochs": "3", "folds": "1,2", "resume": "true"}, again.given)
	assert.Equal(t, []string{"1", "2"}, again.values["folds"])
	assert.Equal(t, 3, again.values["epochs"])
	assert.Equal(t, 0.01, again.values["learning-rate"], "it is decided anew")
	assert.Equal(t, record, again.values["config"])

	used[givenKey] = map[string]string{}
	writeJSON(t, record, used)
	again, err = loaded(t, "--config", record)
	require.NoError(t, err)
	assert.Empty(t, again.given)
	delete(used, givenKey)
	writeJSON(t, record, used)
	_, err = loaded(t, "--config", record)
	assert.ErrorContains(t, err, "write those that you want into a file of their own")
}

// TestBadValuesSayWhatWasWanted: in our words, wherever the value comes from.
func TestBadValuesSayWhatWasWanted(t *testing.T) {
	train := []string{"train", "absent", "3d_fullres"}
	for want, args := range map[string][]string{
		"--seed -1: wanted a whole number from 0 on":           append(train, "--seed", "-1"),
		"--epochs abc: wanted a whole number":                  append(train, "--epochs", "abc"),
		"--learning-rate x: wanted a number":                   append(train, "--learning-rate", "x"),
		"--max-time 9: wanted a time such as 90m":              append(train, "--max-time", "9"),
		"--labels foo: wanted whole numbers, comma separated":  {"evaluate", "a", "b", "--labels", "foo"},
		"--epochs 99999999999999999999: a number out of range": append(train, "--epochs", "99999999999999999999"),
		`epochs from `: append(train, "--config", config(t, "epochs: three\n")),
		`epochs has no value: give it one, or leave it out`: append(train, "--config", config(t, "epochs: null\n")),
	} {
		got := gounet(t, args...)
		assert.Equal(t, exitUsage, got.code)
		assert.Contains(t, got.err, want)
		assert.NotContains(t, got.err, "strconv")
		assert.NotContains(t, got.err, "invalid")
	}
	t.Setenv("GOUNET_LEARNING_RATE", "abc")
	got := gounet(t, train...)
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.err, `GOUNET_LEARNING_RATE: learning-rate from environment: "abc": wanted a number`)
}

func TestHelpOfNoCommandIsAMistake(t *testing.T) {
	got := gounet(t, "help", "foo")
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.err, `unknown command "foo"`)
	got = gounet(t, "help", "train")
	assert.Equal(t, exitOK, got.code)
	assert.Contains(t, got.out, "--pretrained")
	assert.Contains(t, got.out, "--help", "as train --help has it")
}

func TestAHugeFileIsNoConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	require.NoError(t, os.WriteFile(file, nil, 0o666))
	require.NoError(t, os.Truncate(file, 1<<34))
	_, err := loaded(t, "--config", file)
	require.ErrorContains(t, err, "16384 MiB")
}
