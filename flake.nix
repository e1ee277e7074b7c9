# The second builder: the image of image/inference.lock, built by Nix in its own sandbox. No nixpkgs, no binary cache: what isn't in the
# lock isn't there. docs/howto/nix.md says how to use it, ci/nix checks that both builders give the same bytes.
#
# Nix fetches every input by its digest, one fixed-output derivation each, and keeps the graph; what a derivation does is done by the seed
# (builder/seed), a static program made of the same code as `sealstone build`.
{
  description = "Byte-reproducible confidential-VM images";

  # What holds nix/mirrors.json: this source tree, unless another folder is named; docs/howto/nix.md.
  inputs.mirrors = {
    follows = "";
    flake = false;
  };

  outputs =
    { self, mirrors }:
    let
      inherit (builtins)
        any
        attrValues
        baseNameOf
        concatLists
        concatStringsSep
        elem
        filter
        fromJSON
        fromTOML
        head
        listToAttrs
        map
        mapAttrs
        match
        path
        readFile
        replaceStrings
        split
        stringLength
        substring
        toFile
        toJSON
        ;

      system = "x86_64-linux";
      lockText = readFile ./image/inference.lock;
      lock = fromJSON lockText;
      seedLock = fromTOML (readFile ./builder/seed/Cargo.lock);

      # ---- inputs: one derivation a file, known by its digest -------------------------------------------------------------------

      places = fromJSON (readFile "${mirrors}/nix/mirrors.json");

      fetch =
        name: url: sha256:
        derivation {
          # A store name knows fewer characters than a package's version.
          name = replaceStrings [ "~" ] [ "_" ] name;
          inherit url;
          system = "builtin";
          builder = "builtin:fetchurl";
          outputHashMode = "flat";
          outputHashAlgo = "sha256";
          outputHash = sha256;
          preferLocalBuild = true;
        };

      byName = key: list: listToAttrs (map (value: { name = value.${key}; inherit value; }) list);
      archives = byName "id" lock.archives;

      # A file of an archive's pool, as packages and sources of the lock have it.
      pooled =
        file:
        let
          inherit (archives.${file.archive}) archive snapshot;
          url = replaceStrings [ "@archive@" "@snapshot@" "@path@" ] [ archive snapshot file.path ] places.archives;
        in
        fetch (baseNameOf file.path) url file.sha256;

      # A crate of a registry. Where registries keep their files is their users' matter: without an address only Nix's own
      # `hashed-mirrors` are asked.
      crate =
        { name, version, sha256 }:
        let
          template = if places.crates == "" then "http://no-address-for-crates.invalid/@name@/@version@" else places.crates;
          url = replaceStrings [ "@name@" "@version@" ] [ name version ] template;
        in
        fetch "${name}-${version}.crate" url sha256;

      # What the seed reads as `objectsPath`.
      objects = fetcher: files: toJSON (listToAttrs (map (file: { name = file.sha256; value = "${fetcher file}"; }) files));

      packages = listToAttrs (map (file: { name = "${file.name}=${file.version}"; value = file; }) lock.packages);
      packagesOf = root: map (id: packages.${id}) (byName "name" lock.roots).${root}.packages;
      filesOf = source: (byName "name" lock.sources).${source}.files;

      # ---- the seed -------------------------------------------------------------------------------------------------------------

      # Nothing here can make it, so that it is put into the store by hand: docs/howto/nix.md, "The seed".
      seed = derivation {
        name = "sealstone-seed";
        inherit system;
        builder = "/bin/sh";
        args = [
          "-c"
          "echo 'the seed is not in the Nix store; see docs/howto/nix.md, \"The seed\"' >&2; exit 1"
        ];
        outputHashMode = "recursive";
        outputHashAlgo = "sha256";
        outputHash = (fromJSON (readFile ./nix/seed.json)).nar;
      };

      run =
        name: args: variables:
        derivation (
          {
            inherit name system args;
            builder = seed;
            passAsFile = [ "objects" ];
          }
          // variables
        );

      # ---- sources: each derivation depends on those files alone that it reads ---------------------------------------------------

      sources =
        name: keep:
        path {
          inherit name;
          path = ./.;
          filter = file: type: keep (substring (stringLength "${toString ./.}/") (stringLength file) file) type;
        };
      below = folder: file: file == folder || match "${folder}/.*" file != null;
      spec = file: elem file [ "image" "image/inference.yaml" ];
      compiled = file: type: type == "directory" || match ".*/(Cargo.toml|Cargo.lock|build.rs|(src|tests)/.*)" "/${file}" != null;

      seedCrates = map (p: replaceStrings [ "sealstone-" ] [ "" ] p.name) (filter (p: !(p ? source)) seedLock.package);
      seedSource = sources "sealstone-seed-source" (
        file: type:
        elem file [ "Cargo.toml" "builder" "builder/seed/Cargo.lock" "builder/seed/recipe.sh" ]
        || any (name: elem file [ "builder/${name}" "builder/${name}/Cargo.toml" ] || match "builder/${name}/(benches|profiles|recipes|src|tests)(/.*)?" file != null) seedCrates
      );

      # The lock as actions see it that need no crates: another version of a crate doesn't make them run again.
      lockWithoutCrates = toFile "inference.lock" (head (split "\n  \"crates\": " lockText) + "\n  \"crates\": []\n}\n");

      # ---- what is built --------------------------------------------------------------------------------------------------------

      unpacked =
        name:
        run "sealstone-${name}-root" [ "root" name ] {
          spec = "${sources "sealstone-spec" (file: _: spec file)}/image/inference.yaml";
          lock = lockWithoutCrates;
          objects = objects pooled (packagesOf name);
        };
      root = unpacked "build";

      stage =
        name: variables:
        run "sealstone-${name}" [ "stage" name ] (
          {
            roots = root;
            spec = "${sources "sealstone-spec" (file: _: spec file)}/image/inference.yaml";
            lock = lockWithoutCrates;
          }
          // variables
        );

      firmware = platform: stage "firmware-${platform}" { objects = objects pooled (filesOf "edk2"); };

      stages = {
        kernel = stage "kernel" {
          spec = "${sources "sealstone-kernel-config" (file: _: spec file || below "kernel-config" file)}/image/inference.yaml";
          objects = objects pooled (filesOf "linux");
        };
        firmware-amdsev = firmware "amdsev";
        firmware-inteltdx = firmware "inteltdx";
        uki-stub = stage "uki-stub" { objects = objects pooled (filesOf "systemd"); };
        userland = stage "userland" {
          spec = "${sources "sealstone-userland" (file: type: spec file || below "image" file && compiled file type)}/image/inference.yaml";
          lock = toFile "inference.lock" lockText;
          objects = objects crate lock.crates;
        };
      };

      image = run "sealstone-image" ([ "image" ] ++ attrValues stages) {
        spec = "${sources "sealstone-source" (file: _: below "image" file || below "kernel-config" file)}/image/inference.yaml";
        objects = "{}";
      };

      # The seed, built from these sources in the build root.
      program = run "sealstone-seed-program" [ "program" ] {
        source = seedSource;
        roots = root;
        spec = "${sources "sealstone-spec" (file: _: spec file)}/image/inference.yaml";
        lock = lockWithoutCrates;
        objects = objects crate (
          map (p: {
            inherit (p) name version;
            sha256 = p.checksum;
          }) (filter (p: p ? source) seedLock.package)
        );
      };

      # ---- a shell --------------------------------------------------------------------------------------------------------------

      # Programs that a shell finds by name: those that read and write what is in an image, to look at it with others' eyes. They start no
      # other programs, so that they run on the host; compilers and QEMU do, and are reached by `sealstone-root`.
      programs = {
        build = [ "bash" ];
        check = [
          "cpio"
          "dump.erofs"
          "fsck.erofs"
          "fsck.fat"
          "mcopy"
          "mdir"
          "minfo"
          "mkfs.erofs"
          "mkfs.fat"
          "mtype"
          "nm"
          "objcopy"
          "objdump"
          "readelf"
          "sgdisk"
          "strings"
          "veritysetup"
        ];
        run = [ ];
      };

      tools = run "sealstone-tools" [ "tools" ] {
        tools = toJSON (mapAttrs (name: list: [ "${unpacked name}" list ]) programs);
        objects = "{}";
      };

      # Built, it is the check that each of them starts. `nix develop` only takes a derivation whose builder is called bash.
      shell = derivation {
        name = "sealstone-shell";
        inherit system;
        builder = "${tools}/bin/bash";
        args = [
          "-c"
          ''
            for program in ${concatStringsSep " " (concatLists (attrValues programs))}; do
              said=$("$program" --help 2>&1 </dev/null)
              # 127 is the dynamic linker's word for a library that isn't there.
              if [[ $? -eq 127 || $said == sealstone-seed:* ]]; then
                echo "$program doesn't start: $said"
                exit 1
              fi
            done
            echo "$PATH" >$out
          ''
        ];
        PATH = "${tools}/bin";
        # What `nix develop` runs instead writes to the outputs that this names.
        outputs = [ "out" ];
      };
    in
    {
      packages.${system} = stages // {
        inherit root image seed program tools;
        default = image;
      };

      devShells.${system}.default = shell;

      checks.${system} = {
        inherit image shell;
        # The seed that everything was built with is what these sources give, in this builder as well.
        seed = run "sealstone-seed-check" [ "equal" seed "${program}/bin/sealstone-seed" ] { objects = "{}"; };
      };

      apps.${system} = mapAttrs (_: program: { type = "app"; inherit program; }) {
        seed = "${program}/bin/sealstone-seed";
        root = "${tools}/bin/sealstone-root";
      };
    };
}
