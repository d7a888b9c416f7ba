package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// What the process answers to the shell.
const (
	exitOK          = 0
	exitError       = 1   // data, files, devices
	exitUsage       = 2   // arguments, flags, settings
	exitInterrupted = 130 // 128 + SIGINT, as shells have it
)

// usageError is a mistake in what was typed rather than in the data.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// usagef makes a usageError as fmt.Errorf makes an error.
func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// app is what every command is handed.
type app struct {
	in       io.Reader // what "-" names
	out, err io.Writer // results, and all that is said beside them
	settings *settings // filled before a command runs
}

// run parses args, runs the command and returns the exit code. Errors are
// printed here and nowhere else.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	a := &app{}
	return execute(ctx, a, newRoot(a), args, out, errOut)
}

func execute(ctx context.Context, a *app, root *cobra.Command, args []string, out, errOut io.Writer) int {
	screen := &printer{out: errOut}
	a.in, a.out, a.err = os.Stdin, &printer{out: out}, errOut // bars are drawn on the terminal itself
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(screen)
	command, err := root.ExecuteContextC(ctx)
	text := ""
	if err != nil {
		text = inCommand(command, err.Error())
	}
	switch usage := (usageError{}); {
	case err == nil:
		return exitOK
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintf(screen, "gounet: %v: interrupted%s\n", command.Name(), goOn(command))
		return exitInterrupted
	case errors.As(err, &usage) || a.settings == nil:
		fmt.Fprintf(screen, "gounet: %s\nsee: %s --help\n", text, command.CommandPath())
		return exitUsage
	}
	fmt.Fprintf(screen, "gounet: %s\n", text)
	return exitError
}

// inCommand is an error's text with the name of the command in front, which packages
// of that name have put there already.
func inCommand(command *cobra.Command, text string) string {
	prefix := strings.TrimPrefix(command.CommandPath(), command.Root().Name()+" ") + ": "
	if !command.HasParent() || strings.HasPrefix(text, prefix) {
		return text
	}
	return prefix + text
}

// newHelp is cobra's help command, for which a command that does not exist is an error.
func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "say what a command does and takes",
		RunE: func(_ *cobra.Command, args []string) error {
			c, _, err := root.Find(args)
			if err != nil {
				return usageError{err}
			}
			c.InitDefaultHelpFlag()
			return c.Help()
		},
	}
}

// goOn says how an interrupted command goes on.
func goOn(command *cobra.Command) string {
	switch {
	case slices.Contains([]string{"run", "preprocess", "download"}, command.Name()):
		return ": what is done is kept, the same command goes on"
	case command.Flags().Lookup("resume") != nil:
		return ": what is done is kept, the same command with --resume goes on"
	}
	return ""
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "gounet",
		Short: "plan, train and run self-configuring U-Nets for medical images",
		Long: `gounet is nnU-Net in Go: it looks at a data set of scans and labels, plans a
U-Net for it, trains it, and labels new scans.

Settings come from --config file.yaml, then the environment (GOUNET_EPOCHS for
--epochs), then flags; later ones win.`,
		Example: `  gounet run DATASET                      all of it
  gounet plan DATASET                     only look and plan
  gounet train DATASET 3d_fullres --fold 0
  gounet predict --model RUN --input FOLDER --output FOLDER`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().String("config", "", "settings from a YAML `file`; keys are the names of flags")
	root.PersistentFlags().BoolP("quiet", "q", false, "no progress, only results, warnings and errors")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagError(err) })
	root.SetHelpCommand(newHelp(root))
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		s, err := loadSettings(cmd)
		if err != nil {
			return usageError{err}
		}
		a.settings = s
		for _, w := range s.warnings {
			cmd.PrintErrf("gounet: %s\n", w)
		}
		return nil
	}
	for _, make := range []func(*app) *cobra.Command{
		newDownload,
		newPlan,
		newPreprocess,
		newTrain,
		newPredict,
		newEnsemble,
		newPostprocess,
		newExport,
		newImport,
		newEvaluate,
		newVerify,
		newReport,
		newPreview,
		newRun,
		newServe,
		newWorker,
		newJobs,
		newConvert,
		newConvertDataset,
		newInfo,
		newDoctor,
		newBench,
		newVersion,
	} {
		root.AddCommand(make(a))
	}
	return root
}
