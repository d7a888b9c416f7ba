package ranks

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLaunchersAreUnderstood(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want Place
	}{
		"alone":            {nil, Place{World: 1}},
		"torchrun":         {map[string]string{"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "29500"}, Place{5, 8, 1, "a:29500"}},
		"torchrun's store": {map[string]string{"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "a", "MASTER_PORT": "29500", "TORCHELASTIC_USE_AGENT_STORE": "True"}, Place{0, 2, 0, "a:29501"}},
		"indexed Job":      {map[string]string{"JOB_COMPLETION_INDEX": "2", "WORLD_SIZE": "3", "MASTER_ADDR": "job-0.job", "MASTER_PORT": "1"}, Place{2, 3, 0, "job-0.job:1"}},
		"one of one":       {map[string]string{"RANK": "0", "WORLD_SIZE": "1"}, Place{World: 1}},
		"srun":             {map[string]string{"SLURM_STEP_NUM_TASKS": "16", "SLURM_PROCID": "9", "SLURM_LOCALID": "1", "SLURM_STEP_NODELIST": "gpu[07-08,12]", "SLURM_JOB_ID": "123456"}, Place{9, 16, 1, "gpu07:23456"}},
		"srun, named":      {map[string]string{"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_STEP_NODELIST": "a,b", "SLURM_JOB_ID": "1", "MASTER_ADDR": "c", "MASTER_PORT": "5"}, Place{0, 2, 0, "c:5"}},
		"sbatch alone":     {map[string]string{"SLURM_NTASKS": "16", "SLURM_PROCID": "0"}, Place{World: 1}},
		"IPv6":             {map[string]string{"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "::1", "MASTER_PORT": "9"}, Place{1, 2, 0, "[::1]:9"}},
	} {
		got, err := FromEnv(func(k string) string { return c.env[k] })
		require.NoError(t, err, name)
		assert.Equal(t, c.want, got, name)
	}
	assert.Equal(t, "a", firstHost("a,b[1-2]"))
	assert.Equal(t, "a", firstHost("a"))
	assert.Equal(t, "n3", firstHost("n[3]"))
}

func TestWhatALauncherForgotIsNamed(t *testing.T) {
	for want, env := range map[string]map[string]string{
		"WORLD_SIZE is missing":              {"RANK": "1"},
		`RANK is "", wanted 0 to 3`:          {"WORLD_SIZE": "4"},
		`RANK is "4", wanted 0 to 3`:         {"WORLD_SIZE": "4", "RANK": "4"},
		`WORLD_SIZE is "x", wanted 1 to`:     {"WORLD_SIZE": "x", "RANK": "4"},
		`MASTER_PORT is "", wanted 1`:        {"WORLD_SIZE": "4", "RANK": "1", "MASTER_ADDR": "a"},
		"MASTER_ADDR is missing":             {"WORLD_SIZE": "4", "RANK": "1", "MASTER_PORT": "1"},
		`LOCAL_RANK is "-1", wanted 0`:       {"WORLD_SIZE": "4", "RANK": "1", "LOCAL_RANK": "-1"},
		`WORLD_SIZE is "99999", wanted 1 to`: {"WORLD_SIZE": "99999", "RANK": "1"},
	} {
		_, err := FromEnv(func(k string) string { return env[k] })
		require.ErrorContains(t, err, want)
	}
}
