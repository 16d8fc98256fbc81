"""Facts about torchvision's files of pretrained weights: names, sizes, accuracy, preprocessing."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One file.

    Attributes: name (it ends in a piece of its SHA-256), number of parameters, accuracy on ImageNet-1K in percent (None
    where it is no classifier), 10^9 multiply-adds, size in 10^6 bytes, sizes of the crop and of the image's shorter
    side, the smallest side that works, interpolation, mean and std of the channels where they are not the usual ones.
    """

    file: str
    params: int
    top1: float | None
    top5: float | None
    gflops: float
    megabytes: float
    crop: int = 224
    resize: int = 256
    min_size: int = 1
    interpolation: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    default: bool = False


CATALOG: dict[str, dict[str, Entry]] = {
    "ResNet18_Weights": {
        "IMAGENET1K_V1": Entry("resnet18-f37072fd.pth", 11_689_512, 69.758, 89.078, 1.814, 44.661),
    },
    "ResNet34_Weights": {
        "IMAGENET1K_V1": Entry("resnet34-b627a593.pth", 21_797_672, 73.314, 91.42, 3.664, 83.275),
    },
    "ResNet50_Weights": {
        "IMAGENET1K_V1": Entry("resnet50-0676ba61.pth", 25_557_032, 76.13, 92.862, 4.089, 97.781),
        "IMAGENET1K_V2": Entry("resnet50-11ad3fa6.pth", 25_557_032, 80.858, 95.434, 4.089, 97.79, resize=232),
    },
    "ResNet101_Weights": {
        "IMAGENET1K_V1": Entry("resnet101-63fe2227.pth", 44_549_160, 77.374, 93.546, 7.801, 170.511),
        "IMAGENET1K_V2": Entry("resnet101-cd907fc2.pth", 44_549_160, 81.886, 95.78, 7.801, 170.53, resize=232),
    },
    "ResNet152_Weights": {
        "IMAGENET1K_V1": Entry("resnet152-394f9c45.pth", 60_192_808, 78.312, 94.046, 11.514, 230.434),
        "IMAGENET1K_V2": Entry("resnet152-f82ba261.pth", 60_192_808, 82.284, 96.002, 11.514, 230.474, resize=232),
    },
    "ResNeXt50_32X4D_Weights": {
        "IMAGENET1K_V1": Entry("resnext50_32x4d-7cdf4587.pth", 25_028_904, 77.618, 93.698, 4.23, 95.789),
        "IMAGENET1K_V2": Entry("resnext50_32x4d-1a0047aa.pth", 25_028_904, 81.198, 95.34, 4.23, 95.833, resize=232),
    },
    "ResNeXt101_32X8D_Weights": {
        "IMAGENET1K_V1": Entry("resnext101_32x8d-8ba56ff5.pth", 88_791_336, 79.312, 94.526, 16.414, 339.586),
        "IMAGENET1K_V2": Entry(
            "resnext101_32x8d-110c445d.pth", 88_791_336, 82.834, 96.228, 16.414, 339.673, resize=232
        ),
    },
    "ResNeXt101_64X4D_Weights": {
        "IMAGENET1K_V1": Entry("resnext101_64x4d-173b62eb.pth", 83_455_272, 83.246, 96.454, 15.46, 319.318, resize=232),
    },
    "Wide_ResNet50_2_Weights": {
        "IMAGENET1K_V1": Entry("wide_resnet50_2-95faca4d.pth", 68_883_240, 78.468, 94.086, 11.398, 131.82),
        "IMAGENET1K_V2": Entry("wide_resnet50_2-9ba9bcbe.pth", 68_883_240, 81.602, 95.758, 11.398, 263.124, resize=232),
    },
    "Wide_ResNet101_2_Weights": {
        "IMAGENET1K_V1": Entry("wide_resnet101_2-32ee1156.pth", 126_886_696, 78.848, 94.284, 22.753, 242.896),
        "IMAGENET1K_V2": Entry("wide_resnet101_2-d733dc28.pth", 126_886_696, 82.51, 96.02, 22.753, 484.747, resize=232),
    },
    "VGG11_Weights": {
        "IMAGENET1K_V1": Entry("vgg11-8a719046.pth", 132_863_336, 69.02, 88.628, 7.609, 506.84, min_size=32),
    },
    "VGG11_BN_Weights": {
        "IMAGENET1K_V1": Entry("vgg11_bn-6002323d.pth", 132_868_840, 70.37, 89.81, 7.609, 506.881, min_size=32),
    },
    "VGG13_Weights": {
        "IMAGENET1K_V1": Entry("vgg13-19584684.pth", 133_047_848, 69.928, 89.246, 11.308, 507.545, min_size=32),
    },
    "VGG13_BN_Weights": {
        "IMAGENET1K_V1": Entry("vgg13_bn-abd245e5.pth", 133_053_736, 71.586, 90.374, 11.308, 507.59, min_size=32),
    },
    "VGG16_Weights": {
        "IMAGENET1K_V1": Entry(
            "vgg16-397923af.pth", 138_357_544, 71.592, 90.382, 15.47, 527.796, min_size=32, default=True
        ),
        "IMAGENET1K_FEATURES": Entry(
            "vgg16_features-amdegroot-88682ab5.pth",
            138_357_544,
            None,
            None,
            15.47,
            527.802,
            min_size=32,
            mean=(0.48235, 0.45882, 0.40784),
            std=(1 / 255, 1 / 255, 1 / 255),
        ),
    },
    "VGG16_BN_Weights": {
        "IMAGENET1K_V1": Entry("vgg16_bn-6c64b313.pth", 138_365_992, 73.36, 91.516, 15.47, 527.866, min_size=32),
    },
    "VGG19_Weights": {
        "IMAGENET1K_V1": Entry("vgg19-dcbb9e9d.pth", 143_667_240, 72.376, 90.876, 19.632, 548.051, min_size=32),
    },
    "VGG19_BN_Weights": {
        "IMAGENET1K_V1": Entry("vgg19_bn-c79401a0.pth", 143_678_248, 74.218, 91.842, 19.632, 548.143, min_size=32),
    },
    "AlexNet_Weights": {
        "IMAGENET1K_V1": Entry("alexnet-owt-7be5be79.pth", 61_100_840, 56.522, 79.066, 0.714, 233.087, min_size=63),
    },
    "SqueezeNet1_0_Weights": {
        "IMAGENET1K_V1": Entry("squeezenet1_0-b66bff10.pth", 1_248_424, 58.092, 80.42, 0.819, 4.778, min_size=21),
    },
    "SqueezeNet1_1_Weights": {
        "IMAGENET1K_V1": Entry("squeezenet1_1-b8a52dc0.pth", 1_235_496, 58.178, 80.624, 0.349, 4.729, min_size=17),
    },
    "DenseNet121_Weights": {
        "IMAGENET1K_V1": Entry("densenet121-a639ec97.pth", 7_978_856, 74.434, 91.972, 2.834, 30.845, min_size=29),
    },
    "DenseNet161_Weights": {
        "IMAGENET1K_V1": Entry("densenet161-8d451a50.pth", 28_681_000, 77.138, 93.56, 7.728, 110.369, min_size=29),
    },
    "DenseNet169_Weights": {
        "IMAGENET1K_V1": Entry("densenet169-b2777c0a.pth", 14_149_480, 75.6, 92.806, 3.36, 54.708, min_size=29),
    },
    "DenseNet201_Weights": {
        "IMAGENET1K_V1": Entry("densenet201-c1103571.pth", 20_013_928, 76.896, 93.37, 4.291, 77.373, min_size=29),
    },
    "MobileNet_V2_Weights": {
        "IMAGENET1K_V1": Entry("mobilenet_v2-b0353104.pth", 3_504_872, 71.878, 90.286, 0.301, 13.555),
        "IMAGENET1K_V2": Entry("mobilenet_v2-7ebf99e0.pth", 3_504_872, 72.154, 90.822, 0.301, 13.598, resize=232),
    },
    "MobileNet_V3_Large_Weights": {
        "IMAGENET1K_V1": Entry("mobilenet_v3_large-8738ca79.pth", 5_483_032, 74.042, 91.34, 0.217, 21.114),
        "IMAGENET1K_V2": Entry("mobilenet_v3_large-5c1a4163.pth", 5_483_032, 75.274, 92.566, 0.217, 21.107, resize=232),
    },
    "MobileNet_V3_Small_Weights": {
        "IMAGENET1K_V1": Entry("mobilenet_v3_small-047dcff4.pth", 2_542_856, 67.668, 87.402, 0.057, 9.829),
    },
    "ShuffleNet_V2_X0_5_Weights": {
        "IMAGENET1K_V1": Entry("shufflenetv2_x0.5-f707e7126e.pth", 1_366_792, 60.552, 81.746, 0.04, 5.282),
    },
    "ShuffleNet_V2_X1_0_Weights": {
        "IMAGENET1K_V1": Entry("shufflenetv2_x1-5666bf0f80.pth", 2_278_604, 69.362, 88.316, 0.145, 8.791),
    },
    "ShuffleNet_V2_X1_5_Weights": {
        "IMAGENET1K_V1": Entry("shufflenetv2_x1_5-3c479a10.pth", 3_503_624, 72.996, 91.086, 0.296, 13.557, resize=232),
    },
    "ShuffleNet_V2_X2_0_Weights": {
        "IMAGENET1K_V1": Entry("shufflenetv2_x2_0-8be3c8ee.pth", 7_393_996, 76.23, 93.006, 0.583, 28.433, resize=232),
    },
    "EfficientNet_B0_Weights": {
        "IMAGENET1K_V1": Entry(
            "efficientnet_b0_rwightman-7f5810bc.pth", 5_288_548, 77.692, 93.532, 0.386, 20.451, interpolation="bicubic"
        ),
    },
    "EfficientNet_B1_Weights": {
        "IMAGENET1K_V1": Entry(
            "efficientnet_b1_rwightman-bac287d4.pth",
            7_794_184,
            78.642,
            94.186,
            0.687,
            30.134,
            crop=240,
            interpolation="bicubic",
        ),
        "IMAGENET1K_V2": Entry(
            "efficientnet_b1-c27df63c.pth", 7_794_184, 79.838, 94.934, 0.687, 30.136, crop=240, resize=255
        ),
    },
    "EfficientNet_B2_Weights": {
        "IMAGENET1K_V1": Entry(
            "efficientnet_b2_rwightman-c35c1473.pth",
            9_109_994,
            80.608,
            95.31,
            1.088,
            35.174,
            crop=288,
            resize=288,
            interpolation="bicubic",
        ),
    },
    "EfficientNet_B3_Weights": {
        "IMAGENET1K_V1": Entry(
            "efficientnet_b3_rwightman-b3899882.pth",
            12_233_232,
            82.008,
            96.054,
            1.827,
            47.184,
            crop=300,
            resize=320,
            interpolation="bicubic",
        ),
    },
    "EfficientNet_B4_Weights": {
        "IMAGENET1K_V1": Entry(
            "efficientnet_b4_rwightman-23ab8bcd.pth",
            19_341_616,
            83.384,
            96.594,
            4.394,
            74.489,
            crop=380,
            resize=384,
            interpolation="bicubic",
        ),
    },
    "EfficientNet_B5_Weights": {
        "IMAGENET1K_V1": Entry(
            "efficientnet_b5_lukemelas-1a07897c.pth",
            30_389_784,
            83.444,
            96.628,
            10.266,
            116.864,
            crop=456,
            resize=456,
            interpolation="bicubic",
        ),
    },
    "EfficientNet_B6_Weights": {
        "IMAGENET1K_V1": Entry(
            "efficientnet_b6_lukemelas-24a108a5.pth",
            43_040_704,
            84.008,
            96.916,
            19.068,
            165.362,
            crop=528,
            resize=528,
            interpolation="bicubic",
        ),
    },
    "EfficientNet_B7_Weights": {
        "IMAGENET1K_V1": Entry(
            "efficientnet_b7_lukemelas-c5b4e57e.pth",
            66_347_960,
            84.122,
            96.908,
            37.746,
            254.675,
            crop=600,
            resize=600,
            interpolation="bicubic",
        ),
    },
    "EfficientNet_V2_S_Weights": {
        "IMAGENET1K_V1": Entry(
            "efficientnet_v2_s-dd5fe13b.pth",
            21_458_488,
            84.228,
            96.878,
            8.366,
            82.704,
            crop=384,
            resize=384,
            min_size=33,
        ),
    },
    "EfficientNet_V2_M_Weights": {
        "IMAGENET1K_V1": Entry(
            "efficientnet_v2_m-dc08266a.pth",
            54_139_356,
            85.112,
            97.156,
            24.582,
            208.01,
            crop=480,
            resize=480,
            min_size=33,
        ),
    },
    "EfficientNet_V2_L_Weights": {
        "IMAGENET1K_V1": Entry(
            "efficientnet_v2_l-59c71312.pth",
            118_515_272,
            85.808,
            97.788,
            56.08,
            454.573,
            crop=480,
            resize=480,
            min_size=33,
            interpolation="bicubic",
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
        ),
    },
    "ConvNeXt_Tiny_Weights": {
        "IMAGENET1K_V1": Entry(
            "convnext_tiny-983f1562.pth", 28_589_128, 82.52, 96.146, 4.456, 109.119, resize=236, min_size=32
        ),
    },
    "ConvNeXt_Small_Weights": {
        "IMAGENET1K_V1": Entry(
            "convnext_small-0c510722.pth", 50_223_688, 83.616, 96.65, 8.684, 191.703, resize=230, min_size=32
        ),
    },
    "ConvNeXt_Base_Weights": {
        "IMAGENET1K_V1": Entry(
            "convnext_base-6075fbad.pth", 88_591_464, 84.062, 96.87, 15.355, 338.064, resize=232, min_size=32
        ),
    },
    "ConvNeXt_Large_Weights": {
        "IMAGENET1K_V1": Entry(
            "convnext_large-ea097f82.pth", 197_767_336, 84.414, 96.976, 34.361, 754.537, resize=232, min_size=32
        ),
    },
    "ViT_B_16_Weights": {
        "IMAGENET1K_V1": Entry(
            "vit_b_16-c867db91.pth", 86_567_656, 81.072, 95.318, 17.564, 330.285, min_size=224, default=True
        ),
        "IMAGENET1K_SWAG_E2E_V1": Entry(
            "vit_b_16_swag-9ac1b537.pth",
            86_859_496,
            85.304,
            97.65,
            55.484,
            331.398,
            crop=384,
            resize=384,
            min_size=384,
            interpolation="bicubic",
        ),
        "IMAGENET1K_SWAG_LINEAR_V1": Entry(
            "vit_b_16_lc_swag-4e70ced5.pth",
            86_567_656,
            81.886,
            96.18,
            17.564,
            330.285,
            resize=224,
            min_size=224,
            interpolation="bicubic",
        ),
    },
    "ViT_B_32_Weights": {
        "IMAGENET1K_V1": Entry("vit_b_32-d86f8d99.pth", 88_224_232, 75.912, 92.466, 4.409, 336.604, min_size=224),
    },
    "ViT_L_16_Weights": {
        "IMAGENET1K_V1": Entry(
            "vit_l_16-852ce7e3.pth",
            304_326_632,
            79.662,
            94.638,
            61.555,
            1161.023,
            resize=242,
            min_size=224,
            default=True,
        ),
        "IMAGENET1K_SWAG_E2E_V1": Entry(
            "vit_l_16_swag-4f3808c9.pth",
            305_174_504,
            88.064,
            98.512,
            361.986,
            1164.258,
            crop=512,
            resize=512,
            min_size=512,
            interpolation="bicubic",
        ),
        "IMAGENET1K_SWAG_LINEAR_V1": Entry(
            "vit_l_16_lc_swag-4d563306.pth",
            304_326_632,
            85.146,
            97.422,
            61.555,
            1161.023,
            resize=224,
            min_size=224,
            interpolation="bicubic",
        ),
    },
    "ViT_L_32_Weights": {
        "IMAGENET1K_V1": Entry("vit_l_32-c7638314.pth", 306_535_400, 76.972, 93.07, 15.378, 1169.449, min_size=224),
    },
    "ViT_H_14_Weights": {
        "IMAGENET1K_SWAG_E2E_V1": Entry(
            "vit_h_14_swag-80465313.pth",
            633_470_440,
            88.552,
            98.694,
            1016.717,
            2416.643,
            crop=518,
            resize=518,
            min_size=518,
            interpolation="bicubic",
            default=True,
        ),
        "IMAGENET1K_SWAG_LINEAR_V1": Entry(
            "vit_h_14_lc_swag-c1eb923e.pth",
            632_045_800,
            85.708,
            97.73,
            167.295,
            2411.209,
            resize=224,
            min_size=224,
            interpolation="bicubic",
        ),
    },
}
