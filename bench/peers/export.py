"""What others make of models that gounet exported.

usage: export.py GOUNET MODEL SCAN [PREVIOUS]  (the program, a model that it opens, a scan of its data set; of the second
                                                stage of a cascade a folder with labels of the first)
       export.py GOUNET CASES                  (core/unet/testdata/dynunet: networks of MONAI and NVIDIA, with what they make of an input)

nnU-Net v2   loads the results folder of `gounet export --to nnunetv2` and labels SCAN; its labels are compared with
             those of `gounet predict`
onnxruntime  runs the file of `gounet export --to onnx` on random patches, in batches of 1 and 3; the logits are compared
             with those of nnU-Net's own network with the weights of the results folder. Of CASES it runs what
             `gounet import` and then `gounet export --to onnx` make of their weights, on the inputs that lie there, in a
             batch and one by one

Needs nnunetv2, onnx, onnxruntime and safetensors from PyPI beside torch.
"""
import glob, json, os, subprocess, sys, tempfile
import nibabel, numpy as np, onnx, onnxruntime, torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from safetensors.torch import load_file


def run(*a):
    subprocess.run([gounet, *a], check=True, stdout=subprocess.DEVNULL)


def session(path):
    onnx.checker.check_model(path, full_check=True)
    return onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])


def report(what, got, want):
    print(f'onnxruntime {onnxruntime.__version__}, {what}: largest difference {np.abs(got - want).max():.2g} of {np.abs(want).max():.3g}')


def compare_networks(cases, t):
    for path in sorted(glob.glob(os.path.join(cases, '*', 'case.json'))):
        folder, case = os.path.dirname(path), json.load(open(path))
        state, io = load_file(os.path.join(folder, 'weights.safetensors')), load_file(os.path.join(folder, 'io.safetensors'))
        for up in [k for k in state if '.up.norm.' in k]:  # of BraTS'22: one norm in the original, two in the case
            state[up.replace('.up.', '.')] = torch.cat([state.pop(up), state.pop(up.replace('.up.', '.skip.'))])
        torch.save(state, os.path.join(t, 'state.pt'))
        groups = ['--groups', str(case['groups'])] if case['groups'] else []
        model, file = os.path.join(t, case['name'] + '.gounet'), os.path.join(t, case['name'] + '.onnx')
        patch = ','.join(str(n) for n in [1] * (3 - case['dim']) + case['patch'])
        run('import', os.path.join(t, 'state.pt'), '--patch', patch, '--spacing', '1,1,1', *groups, '--output', model)
        run('export', model, '--to', 'onnx', '--output', file)
        s, x, want = session(file), io['input'].numpy(), io['output_eval'].numpy()
        report(f'{case["name"]}, batch {len(x)}', s.run(None, {'input': x})[0], want)
        report(f'{case["name"]}, batch 1', np.concatenate([s.run(None, {'input': x[i:i + 1]})[0] for i in range(len(x))]), want)


def compare_model(model, scan, *previous, t):
    run('export', model, '--to', 'nnunetv2', '--output', os.path.join(t, 'results'))
    folder = max(glob.glob(os.path.join(t, 'results', '*__*')), key=lambda f: 'cascade' in f)  # of a cascade there are both stages
    folds = [f[len('fold_'):] for f in os.listdir(folder) if f.startswith('fold_')]
    fold = folds[0] if folds[0] == 'all' else int(folds[0])
    run('export', model, '--to', 'onnx', '--folds', str(fold), '--output', os.path.join(t, 'model.onnx'))
    run('predict', '--model', model, '--folds', str(fold), '--input', scan, '--output', os.path.join(t, 'ours'), *(['--previous', *previous] if previous else []))

    p = nnUNetPredictor(perform_everything_on_device=False, device=torch.device('cpu'))
    p.initialize_from_trained_model_folder(folder, (fold,))
    os.makedirs(os.path.join(t, 'theirs'))
    name = os.path.basename(scan).removesuffix('_0000.nii.gz').removesuffix('.nii.gz')
    p.predict_from_files_sequential([[scan]], [os.path.join(t, 'theirs', name)], folder_with_segs_from_prev_stage=previous[0] if previous else None)
    read = lambda d: np.asarray(nibabel.load(glob.glob(os.path.join(t, d, '*.nii.gz'))[0]).dataobj)
    a, b = read('ours'), read('theirs')
    print(f'nnU-Net v2: {int((a != b).sum())} of {a.size} labels differ; Dice', [round(2 * ((a == k) & (b == k)).sum() / max(1, (a == k).sum() + (b == k).sum()), 5) for k in np.unique(b) if k])

    s = session(os.path.join(t, 'model.onnx'))
    net = p.network
    net.load_state_dict(p.list_of_parameters[0])
    net.eval()
    shape = s.get_inputs()[0].shape[1:]
    for batch in (1, 3):
        x = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(batch))
        with torch.inference_mode():
            want = net(x)
        want = (want[0] if isinstance(want, (list, tuple)) else want).numpy()
        report(f'batch {batch}', s.run(None, {'input': x.numpy()})[0], want)


gounet = sys.argv[1]
with tempfile.TemporaryDirectory() as t:
    (compare_networks if len(sys.argv) == 3 else compare_model)(*sys.argv[2:], t=t)
