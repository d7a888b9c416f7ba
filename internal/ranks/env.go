package ranks

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Place is where a launcher has put this process.
type Place struct {
	Rank, World int    // of processes
	Local       int    // among those of this host
	Master      string // host:port of rank 0; "" where there is one process
}

// FromEnv reads what torchrun, Kubernetes (PyTorchJob; an indexed Job with WORLD_SIZE)
// or Slurm's srun say. Without any of them it is a process alone.
func FromEnv(getenv func(string) string) (Place, error) {
	rank := cmp.Or(getenv("RANK"), getenv("JOB_COMPLETION_INDEX"))
	switch {
	case getenv("WORLD_SIZE") != "":
		return variables{getenv}.place("WORLD_SIZE", "RANK", rank, getenv("LOCAL_RANK"), getenv("MASTER_ADDR"), getenv("MASTER_PORT"))
	case getenv("RANK") != "":
		return Place{}, fmt.Errorf("RANK is %s, but WORLD_SIZE is missing: set both, or none", getenv("RANK"))
	case getenv("SLURM_STEP_NUM_TASKS") != "": // of srun; a script of sbatch alone has none
		port := getenv("MASTER_PORT")
		if job, err := strconv.Atoi(getenv("SLURM_JOB_ID")); err == nil && port == "" {
			port = strconv.Itoa(20000 + job%10000) // above the ports of services, below those of connections
		}
		master := cmp.Or(getenv("MASTER_ADDR"), firstHost(getenv("SLURM_STEP_NODELIST")))
		return variables{getenv}.place("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", getenv("SLURM_PROCID"), getenv("SLURM_LOCALID"), master, port)
	}
	return Place{World: 1}, nil
}

// variables are those of the environment.
type variables struct{ getenv func(string) string }

func (v variables) place(worldName, rankName, rank, local, host, port string) (p Place, err error) {
	if p.World, err = number(worldName, v.getenv(worldName), 1, MostRanks); err != nil {
		return p, err
	}
	if p.World == 1 {
		return p, nil
	}
	if p.Rank, err = number(rankName, rank, 0, p.World-1); err != nil {
		return p, err
	}
	if p.Local, err = number("LOCAL_RANK", cmp.Or(local, "0"), 0, MostRanks); err != nil {
		return p, err
	}
	at, err := number("MASTER_PORT", port, 1, 65535)
	if err != nil {
		return p, err
	}
	if host == "" {
		return p, errors.New("MASTER_ADDR is missing: set it to the host of rank 0")
	}
	if v.getenv("TORCHELASTIC_USE_AGENT_STORE") == "True" {
		at++ // torchrun itself listens at MASTER_PORT
	}
	p.Master = net.JoinHostPort(host, strconv.Itoa(at))
	return p, nil
}

func number(name, value string, least, most int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%s is %q, wanted %d to %d", name, value, least, most)
	}
	return n, nil
}

// firstHost of Slurm's list, as gpu[07-09,12],login1: gpu07.
func firstHost(list string) string {
	end := strings.IndexAny(list, ",[")
	switch {
	case end < 0:
		return list
	case list[end] == ',':
		return list[:end]
	}
	numbers := list[end+1:]
	if i := strings.IndexAny(numbers, "-,]"); i >= 0 {
		numbers = numbers[:i]
	}
	return list[:end] + numbers
}
