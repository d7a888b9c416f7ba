package train_test
import ("testing";"context";"fmt";"sort";"time"
cpu "github.com/gounet/gounet/backend_cpu"
"github.com/gounet/gounet/core/backend"
"github.com/gounet/gounet/core/compile"
"github.com/gounet/gounet/core/graph"
"github.com/gounet/gounet/core/unet"
)
func TestProf(t *testing.T){
 for _,width := range []int{8,32} {
	p:=small(); c:=&p.Configurations[0]
	c.Patch=[3]int{40,56,40}; c.Batch=2
	n:=&c.Network
	n.Features=[]int{width,2*width,4*width,8*width}; n.Kernels=append(n.Kernels,[3]int{3,3,3}); n.Strides=append(n.Strides,[3]int{2,2,2}); n.Convs=[]int{2,2,2,2}; n.DecoderConvs=[]int{2,2,2}
	tr,err:=unet.NewTrain(p,c,unet.TrainOptions{Source:[3]int{73,80,64}})
	if err!=nil{t.Fatal(err)}
	prog,_:=compile.Compile(tr.Graph,compile.Options{})
	dev:=cpu.Open(cpu.Options{})
	s,err:=backend.NewSession(dev,prog,nil)
	if err!=nil{t.Fatal(err)}
	w:=unet.InitialWeights(tr.Graph,tr.Params,1)
	for i,v:=range tr.Params { s.WriteWeight(context.Background(),v,w[i]) }
	src:=make([]float32,2*73*80*64); for i:=range src { src[i]=float32(i%17)/17 }
	s.WriteF32(context.Background(),tr.Source,src)
	ctl:=make([]float32,tr.CtlLen); ctl[graph.CtlLossScale]=1; ctl[graph.CtlRate]=0.001
	s.WriteF32(context.Background(),tr.Ctl,ctl)
	s.Run(context.Background())
	start:=time.Now(); s.Run(context.Background()); whole:=time.Since(start)
	sec,_:=s.Profile(context.Background())
	type agg struct{name string; s float64; flop,bytes int64}
	m:=map[string]*agg{}
	var total float64; var flop int64
	for i,nd:=range prog.Nodes { k:=graph.OpName(nd.Op); if m[k]==nil {m[k]=&agg{name:k}}; m[k].s+=sec[i]; cc:=prog.Cost(nd); m[k].flop+=cc.FLOP; m[k].bytes+=cc.Bytes; total+=sec[i]; flop+=cc.FLOP }
	var l []*agg; for _,a:=range m {l=append(l,a)}; sort.Slice(l,func(i,j int)bool{return l[i].s>l[j].s})
	fmt.Println("width",width,"step",whole,"profiled",total,"GFLOP",float64(flop)/1e9, "GFLOP/s", float64(flop)/1e9/total)
	for _,a:=range l { fmt.Printf("%-20s %.4fs %.1f GFLOP/s %.1f GB/s\n",a.name,a.s,float64(a.flop)/1e9/a.s,float64(a.bytes)/1e9/a.s) }
 }
}
