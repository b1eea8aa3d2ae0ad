% Numbers of the released code for the outcomes of hoiem_reference.py, which says how to run this.
1;

function row = numbers(result)
  row = [result.npos result.r(end) result.ap result.apn result.ap_stderr result.apn_stderr];
end

args = argv();
inputs = jsondecode(fileread(args{end - 1}), 'makeValidName', false);
if ~iscell(inputs), inputs = num2cell(inputs); end
found = {};
for n = 1:numel(inputs)
  one = inputs{n};
  params = struct('iuthresh_weak', 0.1, 'idthresh_weak', 0, 'iuthresh_strong', 0.5, 'idthresh_strong', 0);
  params.objnames_all = one.classes(:)';
  rec = repmat(struct('objects', []), one.num_images, 1);
  counts = zeros(one.num_images, 1);
  onum = zeros(numel(one.truth_labels), 1);
  for t = 1:numel(one.truth_labels)
    r = one.truth_images(t) + 1;
    counts(r) = counts(r) + 1;
    onum(t) = counts(r);
    thing = struct('truncated', one.truncated(t), 'detailedannotation', 0, 'details', []);
    if counts(r) == 1
      rec(r).objects = thing;
    else
      rec(r).objects(counts(r)) = thing;
    end
  end
  ann.rec = rec;
  clear gt;
  for k = 1:numel(one.classes)
    own = find(one.truth_labels == k - 1);
    gt(k) = struct('bbox', one.truth_boxes(own, :), 'rnum', one.truth_images(own) + 1, 'onum', onum(own), ...
      'isdiff', logical(one.difficult(own)), 'N', numel(own));
  end
  ann.gt = gt;
  normal = 0.15 * one.num_images;
  classes = {};
  for k = 1:numel(one.classes)
    own = find(one.det_labels == k - 1);
    if isempty(own) || ~any(~gt(k).isdiff), continue; end
    det = struct('bbox', one.det_boxes(own, :), 'conf', one.det_scores(own), 'rnum', one.det_images(own) + 1);
    det.N = numel(own);
    det.nimages = one.num_images;
    similar = [];
    for s = 1:numel(one.sets)
      if iscell(one.sets), members = one.sets{s}; else members = one.sets(s, :)'; end
      if any(members == k - 1)
        similar = union(similar, setdiff(members(:)' + 1, k));
      end
    end
    similar = similar(:)';
    fp = analyzeFalsePositives('voc', params, ann, k, similar, det, normal);
    % 0 right or ignored, then Loc, Sim, Oth, BG
    kinds = fp.isloc(:) + 2 * fp.issim(:) + 3 * fp.isother(:) + 4 * fp.isbg_notobj(:);
    result = struct('name', one.classes{k}, 'kinds', sprintf('%d', kinds));
    for name = {'all', 'ignoreloc', 'fixloc', 'ignoresimilar', 'ignorebg'}
      if isfield(fp, name{1})
        result.(name{1}) = numbers(fp.(name{1}));
      end
    end
    if sum(~gt(k).isdiff) >= 5
      tp = analyzeTrueDetections('voc', params, one.classes{k}, det, ann, normal, 'strong');
      for name = {'area', 'height', 'aspect', 'truncated'}
        parts = tp.(name{1});
        rows = zeros(numel(parts), 6);
        for p = 1:numel(parts), rows(p, :) = numbers(parts(p)); end
        result.(name{1}) = rows;
      end
    end
    classes{end + 1} = result;
  end
  found{end + 1} = struct('name', one.name, 'classes', {classes});
end
text = jsonencode(found);
file = fopen(args{end}, 'w');
fprintf(file, '%s\n', text);
fclose(file);
